"""Specs from manifests and from flags, and how new files are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from geobatch.declare import spec_files
from geobatch.declare.earth_engine.from_manifest import Imported, import_manifest, spec_of_flags
from geobatch.declare.earth_engine.upload_flags import UploadFlags
from geobatch.declare.files.find import SCHEME, folder_of
from geobatch.declare.loading.load import bounded_bytes, raise_all
from geobatch.declare.projects.find import Projects
from geobatch.declare.projects.project import Project
from geobatch.declare.specs import sources_of
from geobatch.errors import Problem, SpecError


class ImportedFile(Struct, frozen=True, kw_only=True):
    """A manifest file as a spec file."""

    source: Path
    """The manifest."""
    target: Path
    """The spec."""
    text: str
    """What the spec says."""
    specs: tuple[Imported, ...]
    """Its documents."""
    project: Project
    """What holds for the manifest."""
    new_project: Project
    """What will hold for the spec."""


def imported_files(
    paths: Sequence[Path], *, folder: Path | None, keep_project_prefix: bool
) -> list[ImportedFile]:
    """Return manifests as specs; nothing is written.

    Args:
        paths: Manifests, or folders of them.
        folder: Where the specs will be; None for where the user is.
        keep_project_prefix: Whether `projects/P/assets/a` stays the id of an asset.

    Raises:
        SpecError: Manifests are wrong, or two would become one file; carries every problem.
        OSError: A file cannot be read.
    """
    projects = Projects(keeps_prefix=keep_project_prefix)
    place = folder_of(str((folder or Path()) / "x"))
    problems: list[Problem] = []
    files: dict[Path, ImportedFile] = {}
    for path in spec_files(paths):
        target = (folder or Path()) / f"{path.stem}.yaml"
        project = projects.of(folder_of(str(path)))
        try:
            made = import_manifest(
                bounded_bytes(path), path=str(path), folder=place, project=project
            )
        except SpecError as error:
            problems += error.problems
            continue
        if target in files:
            message = f"`{files[target].source}` and this file would both become `{target.name}`"
            hint = "rename one of them, or import them one by one"
            problems.append(_problem(path, "duplicate-file", message, hint))
        files[target] = ImportedFile(
            source=path,
            target=target,
            text="---\n".join(one.text for one in made),
            specs=made,
            project=project,
            new_project=projects.of(place),
        )
    raise_all([*problems, *projects.problems])
    return list(files.values())


def mirror_notes(files: Sequence[ImportedFile]) -> Iterator[str]:
    """Yield a remark where uris of new specs will lead elsewhere than those of the manifests."""
    for file in files:
        is_mapped = any(
            SCHEME.match(one.spec.uri_prefix + uri)
            for one in file.specs
            for _, source in sources_of(one.spec)
            for uri in source.uris
        )
        if is_mapped and file.project.mirrors != file.new_project.mirrors:
            there = file.project.path or "no geobatch.yaml"
            yield (
                f"note: `{there}` holds for `{file.source}`, but not for"
                f" `{file.target}`: its uris may lead elsewhere"
            )
            return


def new_spec(flags: UploadFlags, *, file: Path | None) -> str:
    """Return the text of a spec by upload flags.

    Args:
        flags: The flags; relative files start where the user is.
        file: Where it will be; None for where the user is.

    Raises:
        FlagError: A flag is wrong.
    """
    folder = folder_of(str(file)) if file is not None else Path.cwd()
    return spec_of_flags(flags, start=Path.cwd(), folder=folder)


def write_new(texts: Mapping[Path, str]) -> None:
    """Write new files; existing files are never overwritten.

    Raises:
        SpecError: A file is there already; nothing is written.
        OSError: The disk refused.
    """
    message = "the file exists already"
    hint = "remove it, or choose another name"
    taken = [_problem(path, "file-exists", message, hint) for path in texts if path.exists()]
    if taken:
        raise SpecError(tuple(taken))
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)


def _problem(path: Path, rule: str, message: str, hint: str) -> Problem:
    return Problem(path=str(path), line=1, column=1, rule=rule, message=message, hint=hint)
