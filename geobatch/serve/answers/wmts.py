"""What QGIS and other clients of WMTS need: which layers there are, and where their tiles are.

Source: OGC 07-057r7, with tiles by their URL (RESTful).
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from geobatch.serve.answers.answer import Answer, Question, whole_number
from geobatch.serve.answers.assets import Assets
from geobatch.serve.tiles.png import SIDE
from geobatch.serve.tiles.positions import HALF
from geobatch.sources.projections.bounds import box_around

MOST_LAYERS = 1000
"""Most layers of one document: conditions, such as `prefix`, choose others."""
_ZOOMS = 25
_STANDARD_PIXEL = 0.00028
"""Metres of a pixel by which scale denominators are counted."""
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<Capabilities xmlns="http://www.opengis.net/wmts/1.0" xmlns:ows="http://www.opengis.net/ows/1.1" \
xmlns:xlink="http://www.w3.org/1999/xlink" version="1.0.0">
<ows:ServiceIdentification><ows:Title>geobatch</ows:Title>\
<ows:ServiceType>OGC WMTS</ows:ServiceType>\
<ows:ServiceTypeVersion>1.0.0</ows:ServiceTypeVersion></ows:ServiceIdentification>
<Contents>
"""


def capabilities(question: Question, assets: Assets) -> Answer:
    """Answer with the layers: the images that meet the conditions of a query, at most 1,000.

    Raises:
        BadQueryError: A condition is malformed.
    """
    state = question.state()
    limit = whole_number(question.query, "limit", MOST_LAYERS, MOST_LAYERS)
    rows = state.rows()
    base = str(question.request.base_url).rstrip("/")
    at = question.query.get("at", "")
    parts = [_HEAD]
    count = 0
    for number in assets.search(state, question.query):
        entry, row = rows[number]
        box = box_around([spot.lonlat for spot in row.spots if spot.lonlat is not None])
        if entry.is_table or box is None:
            continue
        count += 1
        if count > limit:
            break
        turned = (-180.0, box[1], 180.0, box[3]) if box[2] < box[0] else box
        parts.append(_layer(entry.id, turned, base, at))
    parts += [*_matrices(), "</Contents>\n</Capabilities>\n"]
    return Answer(body="".join(parts).encode(), kind="application/xml", state=state)


def _layer(asset_id: str, box: tuple[float, float, float, float], base: str, at: str) -> str:
    query = f"?at={quote(at)}" if at else ""
    url = f"{base}/tiles/{quote(asset_id)}/{{TileMatrix}}/{{TileCol}}/{{TileRow}}.png{query}"
    name = escape(asset_id)
    return (
        f"<Layer><ows:Title>{name}</ows:Title><ows:WGS84BoundingBox>"
        f"<ows:LowerCorner>{box[0]!r} {box[1]!r}</ows:LowerCorner>"
        f"<ows:UpperCorner>{box[2]!r} {box[3]!r}</ows:UpperCorner></ows:WGS84BoundingBox>"
        f"<ows:Identifier>{name}</ows:Identifier>"
        '<Style isDefault="true"><ows:Identifier>default</ows:Identifier></Style>'
        "<Format>image/png</Format>"
        "<TileMatrixSetLink><TileMatrixSet>WebMercator</TileMatrixSet></TileMatrixSetLink>"
        f'<ResourceURL format="image/png" resourceType="tile" template={quoteattr(url)}/>'
        "</Layer>\n"
    )


def _matrices() -> Iterator[str]:
    yield (
        "<TileMatrixSet><ows:Identifier>WebMercator</ows:Identifier>"
        "<ows:SupportedCRS>urn:ogc:def:crs:EPSG::3857</ows:SupportedCRS>\n"
    )
    for zoom in range(_ZOOMS):
        scale = 2 * HALF / (SIDE << zoom) / _STANDARD_PIXEL
        yield (
            f"<TileMatrix><ows:Identifier>{zoom}</ows:Identifier>"
            f"<ScaleDenominator>{scale!r}</ScaleDenominator>"
            f"<TopLeftCorner>{-HALF!r} {HALF!r}</TopLeftCorner>"
            f"<TileWidth>{SIDE}</TileWidth><TileHeight>{SIDE}</TileHeight>"
            f"<MatrixWidth>{1 << zoom}</MatrixWidth><MatrixHeight>{1 << zoom}</MatrixHeight>"
            "</TileMatrix>\n"
        )
    yield "</TileMatrixSet>\n"
