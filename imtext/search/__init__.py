"""Search with a bundle, without torch, Lightning or Hydra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imtext.search.bundle import Bundle, load_bundle
from imtext.search.encoder import Encoder
from imtext.search.filters import Filters, parse_filters
from imtext.search.index import Index, default_index
from imtext.search.predictor import Predictor, create_predictor
from imtext.search.query import Query, Term, parse_query
from imtext.search.results import RankedText, SearchResult
from imtext.search.runs import newest_bundle, runs_dir

if TYPE_CHECKING:
    from imtext.search.server import create_app

__all__ = [
    "Bundle",
    "Encoder",
    "Filters",
    "Index",
    "Predictor",
    "Query",
    "RankedText",
    "SearchResult",
    "Term",
    "create_app",
    "create_predictor",
    "default_index",
    "load_bundle",
    "newest_bundle",
    "parse_filters",
    "parse_query",
    "runs_dir",
]


def __getattr__(name: str) -> Any:
    """Import `create_app` when it is first used: the command line does not wait for FastAPI."""
    if name == "create_app":
        from imtext.search.server import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
