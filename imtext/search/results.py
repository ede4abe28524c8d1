"""The results of searches and rankings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

DateFrom = Literal["camera", "file"]
# Why a picture was found: the model finds it like the query, or a word of the query stands there.
FoundBy = Literal["picture", "file name", "folder", "title", "caption", "keywords", "text in the picture"]


@dataclass(frozen=True)
class SearchResult:
    """One picture that was found.

    Attributes:
        path: path of its file; if there are copies, the first by name.
        score: cosine similarity, -1 … 1; of a re-ranked picture the mean of it and the re-ranker's judgement.
        relevance: probability that the query describes the picture, 0 … 1; None for queries with pictures in them, for
            bundles without calibration, and for pictures that only words were found for.
        id: the hash of its content; empty for a picture that is not in an index.
        copies: other files with the same content.
        date: local time when it was taken, ISO 8601, with the offset from UTC if that is known; empty: unknown.
        date_from: what says so: ``camera``, or ``file`` for the time when its file changed.
        place: latitude and longitude where it was taken, in degrees.
        near_duplicates: number of near duplicates that were found, too, and are left out for it.
        found_by: why it was found: ``picture``, if the model finds it, then what words of the query stand in; empty for
            a list without a query. Without ``picture`` there is no relevance.
    """

    path: str
    score: float
    relevance: float | None
    id: str = ""
    copies: tuple[str, ...] = ()
    date: str = ""
    date_from: DateFrom | None = None
    place: tuple[float, float] | None = None
    near_duplicates: int = 0
    found_by: list[FoundBy] = field(default_factory=list)


@dataclass(frozen=True)
class Duplicate:
    """One picture of a group of near duplicates.

    Attributes:
        path: path of its file; if there are copies, the first by name.
        id: the hash of its content.
        copies: other files with the same content.
        bytes: size of one file.
        width: pixels, as displayed; 0: unknown.
        height: pixels, as displayed; 0: unknown.
        date: local time when it was taken, or when the oldest of its files changed; ISO 8601.
    """

    path: str
    id: str
    copies: tuple[str, ...]
    bytes: int
    width: int
    height: int
    date: str


@dataclass(frozen=True)
class RankedText:
    """A text and how well it describes the picture.

    Attributes:
        text: the text.
        score: cosine similarity, -1 … 1.
        relevance: probability that the text describes the picture, 0 … 1; None for bundles without calibration.
        position: position in the list of texts, from 0.
    """

    text: str
    score: float
    relevance: float | None
    position: int


def percent(relevance: float | None) -> str:
    """A relevance in per cent: ``0.873`` → ``87 %``; a dash for None."""
    return "–" if relevance is None else f"{100 * relevance:.0f} %"
