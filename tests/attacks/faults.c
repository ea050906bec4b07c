/* Faults of a disk, for tests: calls of libc on files below one folder fail, are cut, or kill.
 *
 * Loaded by LD_PRELOAD. Nothing happens before `faults_arm`; `faults_count` counts the calls that
 * were concerned, and `faults_seen` returns it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { OPENED = 1, WROTE = 2, NAMED = 4, LINKED = 8, SYNCED = 16, READ = 32, LOCKED = 64 };
enum { FAIL = 0, KILL_BEFORE = 1, KILL_AFTER = 2, CUT = 3 };

static char folder[PATH_MAX];
static size_t folder_length;
static int kinds, action, number;
static long first, last;
static long *count; /* shared with forked children, so that the parent can read it */
static char is_below[4096];

/* What a loss of power would spare: files as they were when they were last synced. */
enum { MOST_FILES = 1 << 16 };
struct file { long inode, modified, size; };
static struct file *durable;
static long *durable_count;

static void *shared(size_t size) {
  return mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

void faults_share(void) {
  if (count) return;
  count = shared(sizeof *count);
  durable = shared(MOST_FILES * sizeof *durable);
  durable_count = shared(sizeof *durable_count);
}

static int note(const char *path, const struct stat *found, int kind) {
  (void)path;
  if (kind != FTW_F && kind != FTW_NS) return 0;
  long at = __atomic_fetch_add(durable_count, 1, __ATOMIC_SEQ_CST);
  if (at >= MOST_FILES) abort();
  durable[at].inode = found->st_ino;
  durable[at].modified = found->st_mtim.tv_sec * 1000000000L + found->st_mtim.tv_nsec;
  durable[at].size = found->st_size;
  return 0;
}

static void note_all(void) { ftw(folder, note, 32); }

static void note_one(int fd) {
  struct stat found;
  if (!fstat(fd, &found) && S_ISREG(found.st_mode)) note("", &found, FTW_F);
}

/* Concern the calls of `which` kinds below `where`: those from `from` to `to` get the fault. */
void faults_arm(const char *where, int which, int what, int error, long from, long to) {
  faults_share();
  strncpy(folder, where, sizeof folder - 1);
  folder_length = strlen(folder);
  memset(is_below, 0, sizeof is_below);
  kinds = which, action = what, number = error, first = from, last = to;
  *count = *durable_count = 0;
  note_all();
}

/* Forget the calls that were counted. */
void faults_reset(void) {
  faults_share();
  *count = *durable_count = 0;
}

long faults_seen(void) { return *count; }

long faults_durable_count(void) { return *durable_count; }

const struct file *faults_durable(void) { return durable; }

static int below(const char *path) {
  if (!folder_length || !path) return 0;
  return !strncmp(path, folder, folder_length) &&
         (path[folder_length] == '/' || !path[folder_length]);
}

static int below_at(int directory, const char *path) {
  if (path && path[0] == '/') return below(path);
  return folder_length && directory >= 0 && directory < 4096 && is_below[directory];
}

static int fd_below(int fd) { return folder_length && fd >= 0 && fd < 4096 && is_below[fd]; }

/* Return whether this call gets the fault: it then fails with errno, or never returns. */
static int hit(int kind, int is_concerned) {
  if (!is_concerned || !(kinds & kind)) return 0;
  long at = __atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
  if (at < first || at > last) return 0;
  if (action == KILL_BEFORE) kill(getpid(), SIGKILL), pause();
  return 1;
}

static int refuse(int is_hit) {
  if (!is_hit || action != FAIL) return 0;
  errno = number;
  return 1;
}

static void after(int is_hit) {
  if (is_hit && action == KILL_AFTER) kill(getpid(), SIGKILL), pause();
}

#define REAL(type, name, ...)                                     \
  static type (*real)(__VA_ARGS__);                               \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name);

#define IS_WRITING(flags) (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & O_CREAT))

#define OPEN(name)                                                              \
  int name(const char *path, int flags, ...) {                                  \
    REAL(int, #name, const char *, int, ...)                                    \
    va_list more;                                                               \
    va_start(more, flags);                                                      \
    int mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, int) : 0;         \
    va_end(more);                                                               \
    int is_hit = hit(IS_WRITING(flags) ? OPENED : READ, below(path));           \
    if (refuse(is_hit)) return -1;                                              \
    int fd = real(path, flags, mode);                                           \
    if (fd >= 0 && fd < 4096) is_below[fd] = below(path);                       \
    after(is_hit);                                                              \
    return fd;                                                                  \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                            \
  int name(int directory, const char *path, int flags, ...) {                   \
    REAL(int, #name, int, const char *, int, ...)                               \
    va_list more;                                                               \
    va_start(more, flags);                                                      \
    int mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, int) : 0;         \
    va_end(more);                                                               \
    int is_concerned = below_at(directory, path);                               \
    int is_hit = hit(IS_WRITING(flags) ? OPENED : READ, is_concerned);          \
    if (refuse(is_hit)) return -1;                                              \
    int fd = real(directory, path, flags, mode);                                \
    if (fd >= 0 && fd < 4096) is_below[fd] = is_concerned;                      \
    after(is_hit);                                                              \
    return fd;                                                                  \
  }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
  REAL(int, "close", int)
  if (fd >= 0 && fd < 4096) is_below[fd] = 0;
  return real(fd);
}

#define CALL(kind, is_concerned, type, name, parameters, arguments, ...)        \
  type name parameters {                                                        \
    REAL(type, #name, __VA_ARGS__)                                              \
    int is_hit = hit(kind, is_concerned);                                       \
    if (refuse(is_hit)) return -1;                                              \
    type result = real arguments;                                               \
    after(is_hit);                                                              \
    return result;                                                              \
  }

/* A write that is cut takes half of the bytes, at least one, and says so. */
#define WRITE(name, parameters, cut, arguments, ...)                            \
  ssize_t name parameters {                                                     \
    REAL(ssize_t, #name, __VA_ARGS__)                                           \
    int is_hit = hit(WROTE, fd_below(fd));                                      \
    if (refuse(is_hit)) return -1;                                              \
    if (is_hit && (action == CUT || action == KILL_AFTER)) {                    \
      cut;                                                                      \
    }                                                                           \
    ssize_t result = real arguments;                                            \
    after(is_hit);                                                              \
    return result;                                                              \
  }
WRITE(write, (int fd, const void *data, size_t size), size = (size + 1) / 2, (fd, data, size),
      int, const void *, size_t)
WRITE(pwrite, (int fd, const void *data, size_t size, off_t at), size = (size + 1) / 2,
      (fd, data, size, at), int, const void *, size_t, off_t)
WRITE(pwrite64, (int fd, const void *data, size_t size, off64_t at), size = (size + 1) / 2,
      (fd, data, size, at), int, const void *, size_t, off64_t)
WRITE(writev, (int fd, const struct iovec *parts, int size), size = (size + 1) / 2,
      (fd, parts, size), int, const struct iovec *, int)
WRITE(sendfile, (int fd, int from, off_t *at, size_t size), size = (size + 1) / 2,
      (fd, from, at, size), int, int, off_t *, size_t)
WRITE(sendfile64, (int fd, int from, off64_t *at, size_t size), size = (size + 1) / 2,
      (fd, from, at, size), int, int, off64_t *, size_t)

CALL(WROTE, fd_below(fd), int, ftruncate, (int fd, off_t size), (fd, size), int, off_t)
CALL(WROTE, fd_below(fd), int, ftruncate64, (int fd, off64_t size), (fd, size), int, off64_t)

CALL(NAMED, below(to), int, rename, (const char *from, const char *to), (from, to), const char *,
     const char *)
CALL(NAMED, below_at(d, to), int, renameat, (int c, const char *from, int d, const char *to),
     (c, from, d, to), int, const char *, int, const char *)
CALL(NAMED, below_at(d, to), int, renameat2,
     (int c, const char *from, int d, const char *to, unsigned flags), (c, from, d, to, flags), int,
     const char *, int, const char *, unsigned)
CALL(NAMED, below(path), int, unlink, (const char *path), (path), const char *)
CALL(NAMED, below_at(d, path), int, unlinkat, (int d, const char *path, int flags),
     (d, path, flags), int, const char *, int)
CALL(NAMED, below(path), int, rmdir, (const char *path), (path), const char *)
CALL(NAMED, below(path), int, mkdir, (const char *path, mode_t mode), (path, mode), const char *,
     mode_t)
CALL(NAMED, below_at(d, path), int, mkdirat, (int d, const char *path, mode_t mode),
     (d, path, mode), int, const char *, mode_t)
CALL(NAMED, below(path), int, chmod, (const char *path, mode_t mode), (path, mode), const char *,
     mode_t)
CALL(LINKED, below(to), int, link, (const char *from, const char *to), (from, to), const char *,
     const char *)
CALL(LINKED, below_at(d, to), int, linkat,
     (int c, const char *from, int d, const char *to, int flags), (c, from, d, to, flags), int,
     const char *, int, const char *, int)
CALL(LOCKED, fd_below(fd), int, flock, (int fd, int how), (fd, how), int, int)
/* What is below the folder is durable after a sync that did not fail. */
#define SYNC(name, note)                                                        \
  int name(int fd) {                                                            \
    REAL(int, #name, int)                                                       \
    faults_share();                                                             \
    int is_concerned = fd_below(fd);                                            \
    int is_hit = hit(SYNCED, is_concerned);                                     \
    if (refuse(is_hit)) return -1;                                              \
    long before = *durable_count; /* what is written meanwhile may be lost */     \
    if (is_concerned) note;                                                     \
    int result = real(fd);                                                      \
    if (result) *durable_count = before;                                        \
    after(is_hit);                                                              \
    return result;                                                              \
  }
SYNC(fsync, note_one(fd))
SYNC(fdatasync, note_one(fd))
SYNC(syncfs, note_all())

CALL(READ, fd_below(fd), ssize_t, read, (int fd, void *data, size_t size), (fd, data, size), int,
     void *, size_t)
CALL(READ, fd_below(fd), ssize_t, pread, (int fd, void *data, size_t size, off_t at),
     (fd, data, size, at), int, void *, size_t, off_t)
CALL(READ, fd_below(fd), ssize_t, pread64, (int fd, void *data, size_t size, off64_t at),
     (fd, data, size, at), int, void *, size_t, off64_t)

/* Let the clock of this process differ from that of the disk. */
static long ahead;

void faults_clock(long seconds) { ahead = seconds; }

int clock_gettime(clockid_t id, struct timespec *now) {
  REAL(int, "clock_gettime", clockid_t, struct timespec *)
  int result = real(id, now);
  if (!result && id == CLOCK_REALTIME) now->tv_sec += ahead;
  return result;
}
