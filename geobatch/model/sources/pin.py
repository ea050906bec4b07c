"""COGs of external images: the layout, the pinned generation and the location of each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from geobatch.model import sources
from geobatch.model.digest import Digest, digest_json
from geobatch.model.sources.file_stat import FileStat
from geobatch.model.sources.servers import Servers


class Remote(Struct, frozen=True, kw_only=True):
    """The state of an object that a server reports; equal means unchanged, as far as known."""

    size: int
    """Length in bytes."""
    version: str = ""
    """Generation or version id of the bucket."""
    etag: str = ""
    """Entity tag as it is sent, quotes included."""
    modified: str = ""
    """Time of the last modification as it is sent."""

    @property
    def generation(self) -> str:
        """The name of this state of the object: its version, else its tag, else time and size.

        A weak tag may stay the same when bytes change, so time and size are part of the name then.
        """
        if self.version or (self.tag and not self.is_timed):
            return self.version or self.tag
        name = f"{self.modified or 'undated'}, {self.size} bytes"
        return f"{self.tag}, {name}" if self.tag else name

    @property
    def names(self) -> frozenset[str]:
        """What may follow `#` in a uri of this state."""
        return frozenset({self.version, self.generation, self.etag, self.tag} - {""})

    @property
    def tag(self) -> str:
        """Its entity tag without quotes, and without the sign of a weak one."""
        return (self.etag[2:] if self._is_weak else self.etag).strip('"')

    @property
    def _is_weak(self) -> bool:
        # A capital by RFC 9110 section 8.8.3; a lowercase one means the same.
        return self.etag.startswith(("W/", "w/"))

    @property
    def has_strong_tag(self) -> bool:
        """Whether it has a tag that changes with every byte."""
        return bool(self.tag) and not self._is_weak

    @property
    def is_timed(self) -> bool:
        """Whether only the time distinguishes states: there is no version and no strong tag."""
        return not self.version and (self._is_weak or not self.tag)

    @property
    def lacks(self) -> str | None:
        """What the server must report so that this state can be pinned; None if it does."""
        if not self.is_timed or self.moment is not None:
            return None
        if self.modified:
            return f"its server's `Last-Modified`, `{self.modified}`, is not a valid time"
        if self._is_weak:
            return (
                f"its server's `ETag`, `{self.etag}`, is weak (bytes may change without a new one),"
                " and it sends no `Last-Modified`"
            )
        return "its server sends neither `ETag` nor `Last-Modified`"

    @property
    def moment(self) -> datetime | None:
        """When it was modified; None if unknown."""
        return sources.parse_moment(self.modified)

    def is_same(self, other: Remote) -> bool:
        """Return whether another answer is about the same state of the object.

        A tag may differ between the machines of a server where the bucket's version does not. Lists
        of buckets report no versions: then a strong tag is compared.
        """
        if self.size != other.size:
            return False
        if self.version and other.version:
            return self.version == other.version
        if self.version or other.version:
            return self.has_strong_tag and self.etag == other.etag
        if self.etag != other.etag:
            return False
        return not self.is_timed or self.modified == other.modified

    def identity(self, url: str) -> Digest:
        """Return a digest that replaces that of the object's bytes, which are not read."""
        return digest_json(["geobatch remote object", url, self.generation, self.size])

    def object_identity(self, url: str) -> Digest:
        """Return a digest like `identity`, the same from a list, which reports no version.

        A bucket may give equal bytes another version, and they keep their tag.
        """
        name = self.tag if self.has_strong_tag else self.generation
        return digest_json(["geobatch object", url, name, self.size])

    def object_stat(self, url: str) -> FileStat:
        """Return what `object_identity` depends on in the form of a cached stat."""
        text = self.object_identity(url)
        first, second = int(text[:16], 16), int(text[16:32], 16)
        return FileStat(device=first, inode=second, size=self.size, mtime_ns=0, ctime_ns=0)

    def stat(self, url: str) -> FileStat:
        """Return this answer in the form of a cached stat."""
        text = digest_json([url, self.size, self.version, self.etag, self.modified])
        first, second = int(text[:16], 16), int(text[16:32], 16)
        return FileStat(device=first, inode=second, size=self.size, mtime_ns=0, ctime_ns=0)


def is_http(url: str) -> bool:
    """Return whether a url is of an HTTP server, not of a bucket."""
    return url[:8].lower().startswith(("http://", "https://"))


class PinnedObject(Struct, frozen=True, kw_only=True):
    """An object in a bucket or on a server, in one state."""

    url: str
    """Where it is."""
    state: Remote
    """The state in which it is read."""
    servers: Servers | None = None
    """The servers that may be asked for it; None for all."""


class Plane(Struct, frozen=True, kw_only=True):
    """The full or a reduced image of a TIFF."""

    height: int
    """Rows."""
    width: int
    """Columns."""
    block: tuple[int, int]
    """(rows, columns) of a tile; (0, 0) where the image is in strips."""
    has_mask: bool
    """Whether an internal mask of its size is there."""


class CogLayout(Struct, frozen=True, kw_only=True):
    """How a TIFF is laid out, as far as reading it by ranges goes."""

    planes: tuple[Plane, ...]
    """The full image, then the reduced ones, in the order of the file."""
    header_bytes: int
    """Where the directories and all that they refer to end."""
    data_start: int
    """Where the first tile lies; 0 where none is stored."""

    def levels(self, *, is_masked: bool) -> tuple[int, ...]:
        """Return which planes are levels 0, 1, 2, ...: the full image and ever smaller ones.

        Args:
            is_masked: Whether the image has an internal mask, which a level must have too.
        """
        found = [0]
        places = range(1, len(self.planes))
        for place in sorted(places, key=lambda n: -self.planes[n].height * self.planes[n].width):
            plane, last = self.planes[place], self.planes[found[-1]]
            is_smaller = plane.height < last.height or plane.width < last.width
            if is_masked and not plane.has_mask:
                break
            if is_smaller and plane.height <= last.height and plane.width <= last.width:
                found.append(place)
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Return the layout as JSON."""
        return {**asdict(self), "planes": [asdict(plane) for plane in self.planes]}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> CogLayout:
        """Invert `to_json`.

        Raises:
            KeyError, TypeError, ValueError: It is not a layout.
        """
        planes = []
        for plane in value["planes"]:
            rows, cols = plane["block"]
            planes.append(Plane(**{**plane, "block": (rows, cols)}))
        return cls(**{**value, "planes": tuple(planes)})


class Pin(Struct, frozen=True, kw_only=True):
    """The one state of a COG that an asset shows."""

    generation: str
    """Its name in messages: the uri of the spec, else its identity."""
    location: str = ""
    """A url, an absolute path, or one relative to the store's folder."""
    header_bytes: int
    """Where the directories of the file end."""
    overviews: tuple[int, ...]
    """Which reduced image of the file, from 1, is level 1, 2, ..."""
    is_interleaved: bool
    """Whether one tile of the file holds all of its bands."""
    remote: Remote | None = None
    """The state that the server reported; None for a local file, which its digest identifies."""

    def to_json(self) -> dict[str, Any]:
        """Return the pin as JSON."""
        return {
            "generation": self.generation,
            "location": self.location,
            "header_bytes": self.header_bytes,
            "overviews": list(self.overviews),
            "is_interleaved": self.is_interleaved,
            "remote": None if self.remote is None else asdict(self.remote),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Pin:
        """Invert `to_json`.

        Raises:
            KeyError, TypeError: It is not a pin.
        """
        remote = value["remote"]
        if remote is not None and remote["version"] == "null":
            # S3's name for an object without versions; stores may contain it.
            remote = {**remote, "version": ""}
        return cls(
            **{
                **value,
                "overviews": tuple(value["overviews"]),
                "remote": None if remote is None else Remote(**remote),
            }
        )
