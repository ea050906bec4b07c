"""The floors: imports only fall, heavy libraries stay in their rooms, modules stay small."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "geobatch"
MODULES = sorted(PACKAGE.rglob("*.py"))
NOUNS = {"errors", "model"}
BELOW = {
    "errors": set[str](),
    "versions": set(),
    "extras": set(),
    "processors": set(),
    "logs": set(),
    "processes": set(),
    "late": set(),
    "model": {"errors", "late"},
    "buckets": NOUNS | {"late", "extras"},
    "format": NOUNS,
    "declare": NOUNS | {"late", "buckets"},
    "sources": NOUNS | {"late", "versions", "extras", "processors", "processes", "buckets"},
    "pyramid": NOUNS,
    "table": NOUNS | {"late", "extras"},
    "store": NOUNS | {"late", "format", "buckets"},
    "stac": NOUNS | {"sources", "table", "format"},
    "views": NOUNS | {"late", "extras", "pyramid", "format", "store", "stac"},
    # For the traits of policies, which are in one file each; `pyramid` is pure as well.
    "planner": NOUNS | {"pyramid"},
    "resolve": NOUNS | {"declare", "sources"},
    "execute": NOUNS
    | {"late", "versions", "processes", "sources", "pyramid", "table", "format", "store"},
    "exports": NOUNS
    | {"processors", "sources", "table", "format", "stac", "store", "views", "reading"},
    "workflow": NOUNS
    | {"logs", "versions", "extras", "processors", "declare", "sources", "format", "store", "views"}
    | {"planner", "buckets", "late", "stac"}
    | {"resolve", "execute"},
    "explain": NOUNS
    | {"processors", "declare", "format", "store", "views", "planner", "resolve", "workflow"},
    "reading": NOUNS
    | {"extras", "sources", "pyramid", "table", "format", "store", "views", "resolve", "execute"}
    | {"late", "stac", "review"},
    "review": NOUNS | {"versions", "sources", "format", "store"},
    "serve": NOUNS
    | {"logs", "versions", "processors", "sources", "format", "store", "views"}
    | {"explain", "reading", "review"},
    "testing": NOUNS | {"sources", "format", "store", "execute", "workflow"},
    "cli": NOUNS
    | {"versions", "processors", "buckets", "declare", "sources", "format", "store", "views"}
    | {"execute", "workflow", "explain", "exports", "review", "reading", "serve", "extras"},
    "__init__": {"errors", "model", "exports", "workflow", "reading"},
    "__main__": {"cli"},
}
"""Which rooms a room may import, besides itself."""
LIBRARIES = {
    "msgspec": {*BELOW}
    - {"versions", "extras", "processors", "logs", "processes", "late", "__init__", "__main__"},
    "numpy": {
        "model", "format", "sources", "pyramid", "table", "store", "views", "planner", "resolve",
        "execute", "explain", "exports", "reading", "review", "serve", "testing",
    },
    "blake3": {"model", "format", "sources", "table", "store"},
    "pydantic": {"declare"},
    "pydantic_core": {"declare"},
    "yaml": {"declare"},
    "google_crc32c": {"format", "sources"},
    "imagecodecs": {"format", "sources"},
    "isal": {"sources"},
    "affine": {"sources"},
    "pyproj": {"sources"},
    "rasterio": {"sources"},
    "tensorflow": {"sources"},
    # What TensorFlow has its messages of; and Google's credentials.
    "google": {"sources", "buckets"},
    "boto3": {"buckets"},
    "botocore": {"buckets"},
    "pyarrow": {"table", "reading"},
    "shapely": {"table"},
    "dask": {"execute"},
    "distributed": {"execute"},
    "obstore": {"buckets"},
    "platformdirs": {"store"},
    "zarr": {"views", "reading"},
    "xarray": {"reading"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
    "rich": {"cli"},
    "typer": {"cli"},
    "hypothesis": {"testing"},
    "pytest": {"testing"},
}  # fmt: skip
"""In which rooms a library may be imported; one that is not named here may be in none."""
BANNED = {"utils", "util", "helpers", "helper", "common", "manager", "context", "misc"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules_of(here: str) -> list[Path]:
    """Return the modules of a room."""
    found = [path for path in MODULES if room(path) == here]
    assert found, f"there is no room `{here}`"
    return found


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of a module."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def imports(path: Path) -> Iterator[str]:
    """Yield the absolute names that a module imports, wherever in it."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            module = node.module or ""
            # `from geobatch import x` imports the room x, unless x is of the package itself.
            bare = module == "geobatch"
            yield from (f"geobatch.{alias.name}" if bare else module for alias in node.names)


def imports_of(here: str) -> Iterator[tuple[Path, str]]:
    """Yield each module of a room with each name that it imports."""
    for path in modules_of(here):
        for name in imports(path):
            yield path, name


def links(path: Path) -> set[str]:
    """Return the modules of geobatch that a module imports, also for types alone.

    A door imports nothing: what it hands on is loaded when it is used.
    """
    found: set[str] = set()
    if path.name == "__init__.py":
        return found
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("geobatch"):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            inner = {name for name in names if name in KNOWN}
            found |= inner or {node.module or ""}
    return found & KNOWN


def dotted(path: Path) -> str:
    """Return the name by which a module is imported."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


KNOWN = {dotted(path) for path in MODULES}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {dotted(path): links(path) - {dotted(path)} for path in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


BOTH_WAYS = {"declare", "execute"}
"""Rooms whose inner rooms still import each other."""


def test_no_inner_rooms_import_each_other() -> None:
    def inner(name: str) -> str:
        return (
            name if (PACKAGE.parent / name.replace(".", "/")).is_dir() else name.rpartition(".")[0]
        )

    pairs = {
        (inner(dotted(path)), inner(name)): (dotted(path), name)
        for path in MODULES
        if room(path) not in BOTH_WAYS
        for name in links(path)
    }
    both = [
        (pairs[here, there], pairs[there, here])
        for here, there in pairs
        if here < there and (there, here) in pairs and not there.startswith(f"{here}.")
    ]
    assert not both


@pytest.mark.parametrize("here", sorted(BELOW))
def test_imports_only_fall(here: str) -> None:
    for path, name in imports_of(here):
        top, _, rest = name.partition(".")
        if top == "geobatch":
            there = rest.partition(".")[0]
            assert there == here or there in BELOW[here], f"`{path}` imports `{name}`"
        elif top not in sys.stdlib_module_names:
            assert here in LIBRARIES.get(top, ()), f"`{path}` imports `{name}`"


def test_no_module_asks_of_which_class_a_backend_is() -> None:
    """What only some backends can do is a capability of the protocol: `Backend.local`."""
    asked = [
        f"{path}:{node.lineno}"
        for path in MODULES
        for node in nodes(path)
        if (isinstance(node, ast.Call) and ast.unparse(node.func) in {"isinstance", "type"})
        or isinstance(node, ast.MatchClass)
        if "Backend" in ast.unparse(node) or "backend" in ast.unparse(node)
    ]
    assert asked == []


KINDS_OF_SOURCES = ("geotiff", "cog", "tfrecord", "remote")
"""Rooms of `sources` about one kind; what other rooms ask of a kind, they ask its driver."""


@pytest.mark.parametrize("here", sorted(BELOW.keys() - {"sources", "exports", "reading"}))
def test_only_sources_know_a_kind_of_source(here: str) -> None:
    """Exports write COGs and TFRecord files, and `reading` decodes external images."""
    for path, name in imports_of(here):
        _, _, inside = name.partition("geobatch.sources.")
        assert inside.partition(".")[0] not in KINDS_OF_SOURCES, f"`{path}` imports `{name}`"


@pytest.mark.parametrize("here", sorted(BELOW))
def test_a_module_is_small_and_says_what_it_is_for(here: str) -> None:
    for path in modules_of(here):
        text = path.read_text()
        assert len(text.splitlines()) <= 400, path
        assert BANNED.isdisjoint(path.relative_to(PACKAGE).with_suffix("").parts), path
        purpose = (ast.get_docstring(ast.parse(text)) or "").partition("\n")
        assert purpose[0].endswith((".", ":")), f"{path}: the first line is no sentence"
        assert not purpose[2].strip() or purpose[2].startswith("\n"), f"{path}: one line"


DOORS = {"planner"}
"""Rooms that offer everything in their `__init__`: no other room imports a module inside."""


@pytest.mark.parametrize("here", sorted(BELOW.keys() - DOORS))
def test_a_room_with_a_door_is_entered_by_it(here: str) -> None:
    for path, name in imports_of(here):
        _, _, inside = name.partition(".")
        there, _, module = inside.partition(".")
        is_inside = there in DOORS and (PACKAGE / there / f"{module}.py").is_file()
        assert not is_inside, f"`{path}` imports `{name}`"


def test_a_door_loads_late_what_its_types_promise() -> None:
    """Type checkers read imports that are never run; what is run is a table of names."""
    doors = 0
    for path in MODULES:
        calls = [
            node
            for node in nodes(path)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "late"
        ]
        if not calls:
            continue
        doors += 1
        (call,) = calls
        package = ".".join(path.relative_to(PACKAGE.parent).parent.parts)
        homes = {name: f"{package}.{home}" for name, home in ast.literal_eval(call.args[1]).items()}
        (typed,) = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.If))
        assert ast.unparse(typed.test) == "TYPE_CHECKING", path
        promised = {
            alias.name: node.module
            for node in typed.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert homes == promised, path
        # The import of a module gives its package an attribute: it must not be one of the names.
        inside = {one.stem for one in path.parent.iterdir() if not one.name.startswith("_")}
        assert not inside & homes.keys(), path
    assert doors


def test_few_imports_are_inside_functions() -> None:
    """What loads slowly imports that at its top, and is itself loaded late, through a door."""
    late = [
        f"{path}:{number}"
        for path in MODULES
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if "PLC0415" in line
    ]
    assert len(late) <= 20, late


def test_a_function_of_the_workflow_fits_on_a_screen() -> None:
    for node in (node for path in modules_of("workflow") for node in nodes(path)):
        if isinstance(node, ast.FunctionDef):
            first = min(node.lineno, *(one.lineno for one in node.decorator_list), 10**6)
            length = (node.end_lineno or 0) - first + 1
            assert length <= 60, f"`{node.name}` has {length} lines"


def test_the_spine_shows_each_stage_once_and_in_order() -> None:
    stages = ("resolve_request", "plan_request", "execute_plan", "publish", "show")
    tree = ast.parse((PACKAGE / "workflow" / "apply.py").read_text())
    (spine,) = (n for n in tree.body if getattr(n, "name", "") == "apply_specs")
    calls = sorted(
        (node.lineno, ast.unparse(node.func).rpartition(".")[2])
        for node in ast.walk(spine)
        if isinstance(node, ast.Call)
    )
    called = [name for _, name in calls if name in stages]
    assert list(dict.fromkeys(called)) == list(stages)


def test_every_room_is_known_and_used() -> None:
    rooms = {room(path) for path in MODULES}
    assert rooms == BELOW.keys()
    for library, places in LIBRARIES.items():
        for place in places:
            found = {
                name.partition(".")[0]
                for path in MODULES
                if room(path) == place
                for name in imports(path)
            }
            assert library in found, f"`{place}` does not import `{library}` any more"
