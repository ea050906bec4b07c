"""Tiles of maps: XYZ, TMS, and the image's own pixels."""

from __future__ import annotations

from geobatch.errors import NotFoundError
from geobatch.serve.answers.answer import Answer, Question
from geobatch.serve.tiles.draw import Drawing
from geobatch.serve.tiles.positions import MapTile
from geobatch.serve.tiles.style import parse_style


class Tiles:
    """Answers with pictures."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing

    def xyz(self, question: Question) -> Answer:
        """Answer with a tile of Web Mercator; row 0 is in the north.

        Raises:
            NotFoundError: There is no such asset or tile.
            BadQueryError: The style is malformed.
        """
        return self._map(question, is_south_first=False)

    def tms(self, question: Question) -> Answer:
        """Answer with a tile of Web Mercator; row 0 is in the south.

        Raises:
            NotFoundError: There is no such asset or tile.
            BadQueryError: The style is malformed.
        """
        return self._map(question, is_south_first=True)

    def native(self, question: Question) -> Answer:
        """Answer with 256 x 256 pixels of a level, as they are stored.

        Raises:
            NotFoundError: There is no such asset, band or level.
            BadQueryError: The style is malformed.
        """
        state, path = question.state(), question.path
        image = question.served.image(state, path["asset"])
        style = parse_style(image.record.image, question.query)
        body = self._drawing.native_tile(image, style, path["level"], path["x"], path["y"])
        return Answer(body=body, kind="image/png", state=state)

    def _map(self, question: Question, *, is_south_first: bool) -> Answer:
        state, path = question.state(), question.path
        zoom, x, y = path["z"], path["x"], path["y"]
        if is_south_first and zoom < 64:
            y = (1 << zoom) - 1 - y
        tile = MapTile(zoom=zoom, x=x, y=y)
        if zoom > 64 or not tile.is_on_the_map:
            raise NotFoundError(f"there is no tile {zoom}/{x}/{path['y']}")
        image = question.served.image(state, path["asset"])
        style = parse_style(image.record.image, question.query)
        body = self._drawing.map_tile(image, style, tile)
        return Answer(body=body, kind="image/png", state=state)
