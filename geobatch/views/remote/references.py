"""`references/` of a store: per image, a document that leads readers of Zarr to its objects.

Its form is kerchunk's, version 1, with the keys of Zarr v3: xarray and zarr-python open it by
fsspec's `reference://`. A document names objects, which never change: who has opened it reads one
state, whatever is published meanwhile. It is written while the pages of the index are read: memory
does not grow with the tiles.
"""

from __future__ import annotations

import base64
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import TypeAlias

from geobatch.errors import CorruptObjectError
from geobatch.model.digest import digest_bytes
from geobatch.model.published import AssetRecord, Head, TreeEntry
from geobatch.store.commits.refs import REFERENCES
from geobatch.store.index import Index
from geobatch.store.objects import Objects
from geobatch.views.protocol import Audit, ViewState
from geobatch.views.remote.audit import compare_names
from geobatch.views.remote.change import AssetChange, Shown
from geobatch.views.remote.long_text import Text, joined
from geobatch.views.remote.view import RemoteView
from geobatch.views.zarr import asset_folder
from geobatch.views.zarr.metadata import DOCUMENT, documents
from geobatch.views.zarr.survey import Shown as State
from geobatch.views.zarr.survey import shown_of

FOLDER = "references"
"""Folder of the documents in a store."""
SUFFIX = ".json"
_AT_ONCE = 4096
"""Chunks that are listed at a time."""
Reference: TypeAlias = str | list[str | int]
"""Bytes, or where they are: url, offset, length."""
SHOWN = REFERENCES
"""Says which commit they show; no asset has a name with a dot."""


def references(index: Index, record: AssetRecord, base: str) -> Text:
    """Return the document of an image, which lists each of its chunks.

    Args:
        index: Tiles of arrays by position.
        record: The image.
        base: Url of the store.

    Raises:
        CorruptObjectError: An index page is damaged.
    """
    return joined(_pieces(index, record, base))


def _pieces(index: Index, record: AssetRecord, base: str) -> Iterator[bytes]:
    """Yield the document of an image in parts, each of some thousand chunks."""
    start, _, end = references_document({}).partition(b"{}")
    items = chain(
        texts_as_references(documents(record)).items(),
        ((one.path, reference(one, base)) for one in asset_folder.chunks(index, record)),
    )
    mark = start + b"{"
    while some := dict(islice(items, _AT_ONCE)):
        yield mark + json.dumps(some, separators=(",", ":"))[1:-1].encode()
        mark = b","
    yield b"}" + end


def texts_as_references(texts: Mapping[str, bytes]) -> dict[str, Reference]:
    """Return documents and coordinates as they are in a document of references, by path."""
    return {
        path: data.decode()
        if path.endswith(DOCUMENT)
        else f"base64:{base64.b64encode(data).decode()}"
        for path, data in texts.items()
    }


def reference(chunk: asset_folder.Chunk, base: str) -> Reference:
    """Return what leads to the object of a chunk, in the store of a url."""
    return [f"{base}/{Objects.path(chunk.stored)}", 0, chunk.size]


def references_document(refs: Mapping[str, Reference]) -> bytes:
    """Return a document of references."""
    return json.dumps({"version": 1, "refs": refs}, separators=(",", ":")).encode()


class DocumentFiles(RemoteView):
    """A document for each asset, and one that says what they show."""

    @abstractmethod
    def file_name(self, asset_id: str) -> str:
        """Return the name of an asset's document in the store."""

    def removal(self, asset_id: str, head: Head) -> AssetChange:
        """Return what is removed of an asset that is gone."""
        del head
        return AssetChange(asset_id=asset_id, removed=[self.file_name(asset_id)])

    def rest(self, state: State, head: Head) -> AssetChange:
        """Return what is foreign in the folder, if it is not known what was there."""
        if state.is_known:
            return AssetChange(asset_id="")
        wanted = {self.document, *map(self.file_name, self.wanted(head))}
        names = [name for name in self._backend.list(f"{self.folder}/") if name not in wanted]
        return AssetChange(asset_id="", removed=names)


class ReferenceFiles(DocumentFiles):
    """The documents of all images; a view."""

    folder = FOLDER
    document = SHOWN

    def wanted(self, head: Head) -> dict[str, TreeEntry]:
        """Return the assets that it shows: images whose pixels are in the store."""
        return shown_of(head)

    def change(self, entry: TreeEntry, before: TreeEntry | None, head: Head) -> AssetChange:
        """Return what changes of an asset; see `RemoteView.change`."""
        del before, head
        record = self._store.record(entry)
        data = references(self._store.index, record, self._backend.location)
        return AssetChange(asset_id=entry.id, texts={_name(entry.id): data})

    def file_name(self, asset_id: str) -> str:
        """Return the name of an asset's document in the store."""
        return _name(asset_id)

    def compare_names(self, head: Head, audit: Audit, found: ViewState) -> ViewState:
        """Return what is wrong with each name; see `View.compare`."""
        files: dict[str, Shown] = {}
        damaged: dict[str, CorruptObjectError] = {}
        for entry in self.wanted(head).values():
            try:
                for name, text in self.change(entry, None, head).texts.items():
                    files[name] = Shown(name=name, stored=digest_bytes(text), size=len(text))
            except CorruptObjectError as error:
                damaged[entry.id] = error
        spared = [_name(one) for one in (*found.unsettled, *damaged)]
        return compare_names(
            self._backend,
            found,
            folders=(FOLDER,),
            document=SHOWN,
            texts={},
            files=files,
            shown={},
            spared=tuple(spared),
            damaged=damaged,
            audit=audit,
        )


def _name(asset_id: str) -> str:
    return f"{FOLDER}/{asset_id}{SUFFIX}"
