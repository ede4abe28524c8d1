"""What a search and a ranking return."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SearchResult:
    """One picture found.

    Attributes:
        path: of its file; with copies, the first by name.
        score: cosine similarity, -1 … 1.
        relevance: probability that the picture is what the query describes, 0 … 1; None for queries with pictures in
            them and for bundles without calibration.
        id: the hash of its content; empty for a picture that is in no index.
        copies: other files with the same content.
    """

    path: str
    score: float
    relevance: float | None
    id: str = ""
    copies: tuple[str, ...] = ()


@dataclass(frozen=True)
class RankedText:
    """A text and how well it describes the picture.

    Attributes:
        text: as it was given.
        score: cosine similarity, -1 … 1.
        relevance: probability that the text describes the picture, 0 … 1; None for bundles without calibration.
        position: place in the list that was given, from 0.
    """

    text: str
    score: float
    relevance: float | None
    position: int


def percent(relevance: float | None) -> str:
    """A relevance as users see it: ``0.873`` → ``87 %``; a dash for None."""
    return "–" if relevance is None else f"{100 * relevance:.0f} %"
