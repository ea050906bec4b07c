"""The server: which address is answered by what. It reads; no address writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from geobatch.processors import processor_count
from geobatch.serve.answers import files, history, wmts
from geobatch.serve.answers.answer import Answer, Endpoint, Make, Question, json_answer
from geobatch.serve.answers.assets import Assets
from geobatch.serve.answers.plans import Plans, SavedPlan
from geobatch.serve.answers.stac import Stac
from geobatch.serve.answers.tiles import Tiles
from geobatch.serve.answers.why import why
from geobatch.serve.commits import Served
from geobatch.serve.guard import Guard
from geobatch.serve.tiles.draw import Drawing
from geobatch.sources.registry import stay_in_session
from geobatch.versions import VERSION

PAGE = Path(__file__).parent / "page"
"""Files of the page."""
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


def make_app(
    served: Served,
    *,
    hosts: Collection[str],
    origins: Collection[str] = (),
    plans: Sequence[SavedPlan] = (),
) -> Starlette:
    """Return the server of a store.

    Args:
        served: The store.
        hosts: Names by which requests may ask for it.
        origins: Origins besides those of this computer that may read data.
        plans: Saved plans to show.
    """
    threads = ThreadPoolExecutor(
        max_workers=processor_count() + 2, thread_name_prefix="serve", initializer=stay_in_session
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        threads.shutdown(wait=False, cancel_futures=True)
        served.store.close()

    app = Starlette(
        routes=_routes(Plans(plans)),
        middleware=[Middleware(Guard, hosts=hosts, origins=origins)],
        lifespan=lifespan,
        exception_handlers={404: _missing, 500: _failed},
    )
    app.state.served, app.state.threads = served, threads
    return app


def _routes(plans: Plans) -> list[Route]:
    drawing = Drawing()
    assets, tiles = Assets(drawing), Tiles(drawing)
    tile = "{asset:path}/{z:int}/{x:int}/{y:int}.png"
    found = [
        ("/healthz", _health),
        ("/api/store", _store),
        ("/api/assets", assets.listed),
        ("/api/assets/{asset:path}", assets.described),
        ("/api/history/{asset:path}", history.history),
        ("/api/commits", history.commits),
        ("/api/diff/{a}/{b}", history.diff),
        ("/api/why/{asset:path}", why),
        ("/api/plans", plans.listed),
        ("/api/plans/{plan}", plans.tiles),
        ("/wmts", lambda question: wmts.capabilities(question, assets)),
        ("/wmts/1.0.0/WMTSCapabilities.xml", lambda question: wmts.capabilities(question, assets)),
        ("/zarr/{key:path}", files.zarr_file),
        ("/commits/{at}/zarr/{key:path}", files.zarr_file),
        ("/parquet/{asset:path}.parquet", files.table_file),
        *Stac().routes(),
    ]
    pictures = [
        (f"/tiles/{tile}", tiles.xyz),
        (f"/tms/{tile}", tiles.tms),
        ("/native/{asset:path}/{level:int}/{x:int}/{y:int}.png", tiles.native),
    ]
    return [
        *(_route(path, Endpoint(make)) for path, make in found),
        *(_route(path, Endpoint(make, is_picture=True)) for path, make in pictures),
        *_page_routes(),
    ]


def _route(path: str, endpoint: Endpoint) -> Route:
    return Route(path, endpoint.__call__, methods=["GET", "HEAD"])


def _page_routes() -> list[Route]:
    """Return a route for each file of the page: they are known from the start, and no others."""
    files_of = {
        path.relative_to(PAGE).as_posix(): path for path in PAGE.rglob("*") if path.is_file()
    }
    return [
        _route(f"/{'' if name == 'index.html' else name}", Endpoint(_file(path)))
        for name, path in files_of.items()
    ]


def _file(path: Path) -> Make:
    def answer(_: Question) -> Answer:
        return Answer(
            body=path.read_bytes(),
            kind=_KINDS.get(path.suffix, "application/octet-stream"),
            headers={"ETag": f'"{VERSION}-{path.stat().st_mtime_ns:x}"'},
        )

    return answer


def _health(question: Question) -> Answer:
    state = question.served.commits.find()
    return json_answer({"status": "ok", "commit": state.name, "number": state.head.number}, None)


def _store(question: Question) -> Answer:
    served = question.served
    state = served.commits.find()
    return json_answer(
        {
            "name": str(served.location),
            "id": served.store.id,
            "version": VERSION,
            "commit": state.name,
            "number": state.head.number,
            "assets": state.head.tree.count,
        },
        state,
    )


async def _missing(request: Request, _: Exception) -> Response:
    body = b'{"error": "there is nothing at this address"}'
    del request
    return Response(body, 404, media_type="application/json")


async def _failed(request: Request, _: Exception) -> Response:
    del request
    body = b'{"error": "the server failed; its log says why"}'
    return Response(body, 500, media_type="application/json")
