"""STAC API: core, collections, features and item search, by GET.

Source: https://github.com/radiantearth/stac-api-spec, version 1.0.0.
"""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlencode

from geobatch.reading import Catalog
from geobatch.serve.answers.answer import Answer, Make, Question, json_answer, whole_number
from geobatch.serve.commits import State
from geobatch.serve.tiles.kept import Kept
from geobatch.serve.tiles.style import BadQueryError

MOST_ITEMS = 1000
"""Most items of one answer."""
CONFORMS_TO = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
)
"""What the addresses below conform to."""
_GEOJSON = "application/geo+json"
_OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
_KEPT = 2


class Stac:
    """Answers as STAC."""

    def __init__(self) -> None:
        self._catalogs: Kept[Catalog] = Kept(_KEPT)

    def routes(self) -> list[tuple[str, Make]]:
        """Return the addresses."""
        one = "/stac/collections/{collection}"
        return [
            ("/stac", self.landing),
            ("/stac/", self.landing),
            ("/stac/conformance", self.conformance),
            ("/stac/collections", self.collections),
            (one, self.collection),
            (f"{one}/items", self.items),
            (f"{one}/items/{{item}}", self.item),
            ("/stac/search", self.search),
            ("/stac/api", self.description),
        ]

    def landing(self, question: Question) -> Answer:
        """Answer with the topmost catalog, and where the rest is."""
        catalog, state = self._catalog(question)
        base = _base(question)
        found = dict(catalog.catalog())
        found["conformsTo"] = list(CONFORMS_TO)
        found["links"] = [
            *found["links"],
            _link("conformance", f"{base}/conformance"),
            _link("data", f"{base}/collections"),
            {**_link("search", f"{base}/search", _GEOJSON), "method": "GET"},
            _link("service-desc", f"{base}/api", _OPENAPI),
            _link("service-doc", str(question.request.base_url), "text/html"),
        ]
        return json_answer(found, state)

    def description(self, _: Question) -> Answer:
        """Answer with the addresses, as OpenAPI describes them."""
        paths = {
            path.removeprefix("/stac") or "/": {
                "get": {
                    "summary": (make.__doc__ or "").split("\n")[0],
                    "parameters": [
                        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                        for name in ("collection", "item")
                        if f"{{{name}}}" in path
                    ],
                    "responses": {"200": {"description": "found"}},
                }
            }
            for path, make in self.routes()
        }
        about = {"title": "geobatch", "version": "1"}
        return json_answer({"openapi": "3.0.3", "info": about, "paths": paths}, kind=_OPENAPI)

    def conformance(self, _: Question) -> Answer:
        """Answer with what this conforms to."""
        return json_answer({"conformsTo": list(CONFORMS_TO)})

    def collections(self, question: Question) -> Answer:
        """Answer with all collections."""
        catalog, state = self._catalog(question)
        links = [_link("self", f"{_base(question)}/collections"), _root(question)]
        return json_answer({"collections": list(catalog.collections()), "links": links}, state)

    def collection(self, question: Question) -> Answer:
        """Answer with a collection.

        Raises:
            NotFoundError: There is none of that id.
        """
        catalog, state = self._catalog(question)
        return json_answer(catalog.collection(question.path["collection"]), state)

    def item(self, question: Question) -> Answer:
        """Answer with an item.

        Raises:
            NotFoundError: There is none of that id in the collection.
        """
        catalog, state = self._catalog(question)
        path = question.path
        found = catalog.item(path["item"], collection=path["collection"])
        return json_answer(found, state, kind=_GEOJSON)

    def items(self, question: Question) -> Answer:
        """Answer with the items of a collection, a page at a time.

        Raises:
            NotFoundError: There is no such collection.
            BadQueryError: A condition is malformed.
        """
        name = question.path["collection"]
        catalog, _ = self._catalog(question)
        catalog.collection(name)
        return self._found(question, {"collections": [name]}, f"collections/{name}/items")

    def search(self, question: Question) -> Answer:
        """Answer with the items that meet the conditions, a page at a time.

        Raises:
            BadQueryError: A condition is malformed.
        """
        named: dict[str, Any] = {
            name: question.query[name].split(",")
            for name in ("ids", "collections")
            if question.query.get(name)
        }
        return self._found(question, named, "search")

    def _found(self, question: Question, named: dict[str, Any], where: str) -> Answer:
        catalog, state = self._catalog(question)
        query = question.query
        limit = whole_number(query, "limit", 10, 10_000)
        if not limit:
            raise BadQueryError("`limit`: expected a whole number from 1 to 10000")
        try:
            page = catalog.search(
                bbox=_box(query.get("bbox", "")),
                datetime=query.get("datetime") or None,
                limit=min(limit, MOST_ITEMS),
                token=query.get("token") or None,
                **named,
            )
        except ValueError as error:
            raise BadQueryError(str(error)) from None
        url = f"{_base(question)}/{where}"
        links = [_link("self", f"{url}?{question.request.url.query}", _GEOJSON), _root(question)]
        if page.token is not None:
            following = urlencode({**query, "token": page.token})
            links.append(_link("next", f"{url}?{following}", _GEOJSON))
        found = {
            "type": "FeatureCollection",
            "features": list(page.items),
            "numberMatched": page.matched,
            "numberReturned": len(page.items),
            "links": links,
        }
        return json_answer(found, state, kind=_GEOJSON)

    def _catalog(self, question: Question) -> tuple[Catalog, State]:
        state, base = question.state(), _base(question)
        store = question.served.store

        def make() -> Catalog:
            return Catalog(store, state.head, api=base, files=base.removesuffix("/stac"))

        return self._catalogs.get((state.name, base), make, lambda _: 1), state


def _base(question: Question) -> str:
    return f"{str(question.request.base_url).rstrip('/')}/stac"


def _root(question: Question) -> dict[str, str]:
    return _link("root", f"{_base(question)}/")


def _link(rel: str, href: str, kind: str = "application/json") -> dict[str, str]:
    return {"rel": rel, "href": href, "type": kind}


def _box(text: str) -> list[float] | None:
    if not text:
        return None
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = [math.nan]
    if not all(map(math.isfinite, found)):
        raise BadQueryError("`bbox`: expected four or six numbers")
    return found
