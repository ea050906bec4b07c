"""Spec files to drafts, one after the other: similar documents are checked once."""

from __future__ import annotations

from msgspec import Struct, field

from geobatch.declare.loading.document import draft
from geobatch.declare.loading.enough import is_enough, limited
from geobatch.declare.loading.similar import SimilarDocuments
from geobatch.declare.loading.spec_cache import SpecCache
from geobatch.declare.projects.project import Project
from geobatch.declare.spec_list import MadeSpecs
from geobatch.declare.specs import AssetSpec, CollectionSpec
from geobatch.declare.text.read import Reading
from geobatch.errors import Problem


class FileDraft(Struct, kw_only=True):
    """What a spec file declares, as far as its problems allow."""

    specs: list[AssetSpec] = field(default_factory=list)
    """Every image and table, those of small collections too."""
    large: list[MadeSpecs] = field(default_factory=list)
    """The images of large collections."""
    collections: list[CollectionSpec] = field(default_factory=list)
    """Collections that the file declares; their images are among the specs."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong."""

    @property
    def is_plain(self) -> bool:
        """Whether the file has no problem, and its bytes alone determine what it declares."""
        return not self.collections and not self.problems


class Drafting:
    """Reads the files of one load."""

    def __init__(self, cache: SpecCache) -> None:
        self._cache = cache
        self._similar: dict[int, SimilarDocuments] = {}

    def file(self, data: bytes, *, path: str, project: Project) -> FileDraft:
        """Read the bytes of a spec file.

        Args:
            data: The bytes, one more than allowed at most.
            path: The file, as the user named it.
            project: What holds for all specs of its project; as long as this object lives.
        """
        # Documents that are alike share their project too.
        similar = self._similar.setdefault(id(project), SimilarDocuments())
        made = FileDraft()
        reading = Reading(data, path=path, similar=similar)
        for found in reading:
            if is_enough(made.problems):
                break
            if isinstance(found, AssetSpec):
                made.specs.append(found)
                continue
            one = draft(found, path=path, project=project, cache=self._cache)
            made.problems += one.problems
            if isinstance(one.specs, MadeSpecs):
                made.large.append(one.specs)
            else:
                made.specs += one.specs
            if len(one.specs) == 1 and not (one.collection or one.problems or reading.problems):
                similar.add(reading.events, one.specs[0])
            if one.collection is not None:
                made.collections.append(one.collection)
        made.problems = limited(made.problems + reading.problems)
        return made
