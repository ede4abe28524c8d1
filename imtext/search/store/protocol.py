"""The protocol of stores of pictures and vectors. SQLite in the index folder is the default implementation.

A store is the single source of truth of an index. Every commit is atomic, survives a killed process and gets a new
version. Pictures are stored by content: the same picture under two names is one picture with two files, and a renamed
file keeps its picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, Self

from imtext.search.facts import Facts
from imtext.search.filters import Filters
from imtext.search.store.records import Dated, File, Grid, Neighbors, Picture, Vectors, WordMatch


class Store(Protocol):
    """The methods that an index needs. All of them may be called from several threads at once.

    Rows are read as of the last commit. `nearest`, `find_words`, `by_date`, `vector_of`, `ids` and `size` see the
    pictures as of the last `refresh`, so that one search sees one state. The first call of any of them calls `refresh`.

    Attributes:
        location: URL to open this store again.
        embed_dim: length of the vectors.
        model: fingerprint of the bundle that embedded the pictures; empty: not recorded, because it lies beside them.
    """

    location: str
    embed_dim: int
    model: str

    # ---- opening and closing: called by the functions of `imtext.search.store.location`

    @classmethod
    def open(cls, location: str) -> Self:
        """Open the store at a URL.

        Raises:
            SearchError: there is no store, or it cannot be read.
        """

    @classmethod
    def create(cls, location: str, embed_dim: int, model: str = "") -> Self:
        """Open the store at a URL. Create it if needed, and complete it if a killed process left it incomplete."""

    @classmethod
    def exists(cls, location: str) -> bool:
        """Is there a store at this URL?"""

    @classmethod
    def rebuild(cls, location: str, embed_dim: int, model: str = "") -> None:
        """Replace a store by a store without pictures, in one atomic step, for vectors of another length or model.

        Sources are kept. All files are kept as `unread`, because paths from standard input are recorded nowhere else.
        Open stores keep the old content and report `replaced`.
        """

    def close(self) -> None:
        """Release files and connections."""

    def replaced(self) -> bool:
        """Was this store replaced by another one, or can it no longer see new commits? Must be cheap."""

    def tidy(self) -> None:
        """Remove unfinished files of processes that no longer run; called by the only writer."""

    def check(self) -> int:
        """Verify all vectors; returns the number of pictures.

        Raises:
            SearchError: a vector is not of unit length, or the vectors that `nearest` searches differ from the commits.
        """

    # ---- searching, as of the last refresh

    def refresh(self) -> bool:
        """Load what was committed since the last refresh; returns True if there was something new."""

    @property
    def size(self) -> int:
        """Number of pictures that `nearest` searches."""

    def nearest(
        self, queries: Vectors, top_k: int, filters: Filters | None = None, approximate: bool = False
    ) -> Neighbors:
        """The pictures nearest to each of ``[Q, embed_dim]`` query vectors of unit length.

        Pictures with equal scores are in the order of indexing, so that a query always has the same result.

        Args:
            queries: of unit length.
            top_k: maximum number of pictures for each query.
            filters: choose from the pictures that pass; `mean` and `size` stay those of all pictures.
            approximate: the store may be faster and miss a few of them; scores are exact.
        """

    def find_words(self, words: Sequence[str], limit: int, filters: Filters | None = None) -> list[WordMatch]:
        """Pictures with words of a query: in names of their files and folders, in what people wrote, in the picture.

        Args:
            words: without regard to case and accents; a word of several parts, ``IMG_1234``, is a phrase.
            limit: maximum number of pictures.
            filters: choose from the pictures that pass.

        Returns:
            Those with most of the words first, then by the store's own ranking, such as BM25.
        """

    def by_date(self, filters: Filters) -> Dated:
        """All pictures that pass, newest first."""

    def vector_of(self, id: int) -> Vectors | None:
        """The vector ``[embed_dim]`` of one picture; None if no file has this picture."""

    def ids(self, offset: int = 0, limit: int | None = None) -> list[int]:
        """A page of the ids of all pictures, in the order in which they were indexed."""

    # ---- rows, as of the last commit

    def version(self) -> int:
        """Version of the rows: a random number that every commit of pictures or files draws again."""

    def count(self) -> int:
        """Number of different pictures that at least one file has."""

    def files(self, below: str | None = None) -> Iterator[File]:
        """All known files, or those below a folder, in order of path, including refused files."""

    def refused(self) -> dict[str, str]:
        """Path → reason of every known file that was refused."""

    def known(self, contents: Sequence[bytes]) -> set[bytes]:
        """The contents that already have a vector."""

    def held(self, ids: Sequence[int]) -> dict[int, list[File]]:
        """Id → the files that have this picture, in alphabetical order; ids without files are left out."""

    def find(self, content: bytes) -> tuple[int, list[File]] | None:
        """The id of the picture with this content, and the files that have it; None if there is none."""

    def grids(self, ids: Sequence[int]) -> dict[int, Grid]:
        """Id → the grid of this picture; ids without a grid are left out."""

    def facts(self, ids: Sequence[int]) -> dict[int, Facts]:
        """Id → the facts of this picture; ids without facts are left out."""

    def without_facts(self) -> list[File]:
        """The files of pictures without facts, a hash or words, which an earlier version has indexed."""

    def without_text(self) -> list[File]:
        """The files of pictures in which no text was looked for."""

    def sources(self) -> list[str]:
        """Folders, patterns and lists that were indexed, in order of name."""

    # ---- writing: by one process at a time, which the caller must ensure

    def commit(
        self,
        pictures: Iterable[Picture] = (),
        files: Iterable[File] = (),
        gone: Iterable[str] = (),
        sweep: bool = True,
        facts: Mapping[bytes, Facts] | None = None,
        texts: Mapping[bytes, str] | None = None,
    ) -> None:
        """Add pictures, add or update files, forget files; all or nothing.

        Args:
            pictures: new contents; known contents are not changed.
            files: added, or updated if the path is known.
            gone: paths to forget.
            sweep: also forget pictures that no file has any more. Only the last commit of an update does this, because
                a later commit may add a file with such a picture.
            facts: content → facts, of new pictures and of known ones; they are forgotten with their pictures.
            texts: content → the text that was read in this picture, empty if there is none; of pictures with facts.

        Raises:
            StoreError: the store could not be written; nothing has changed.
        """

    def remember(self, sources: Iterable[str], forget: Iterable[str] = ()) -> None:
        """Add to the sources, and remove some."""
