"""Everything behind the bundle: searching, without torch, Lightning or Hydra."""

from imtext.search.bundle import Bundle, load_bundle, newest_bundle
from imtext.search.encoder import Encoder
from imtext.search.index import Index, SearchResult, default_index
from imtext.search.predictor import Predictor, RankedText, create_predictor, runs_dir
from imtext.search.query import Term, parse_query

__all__ = [
    "Bundle",
    "Encoder",
    "Index",
    "Predictor",
    "RankedText",
    "SearchResult",
    "Term",
    "create_predictor",
    "default_index",
    "load_bundle",
    "newest_bundle",
    "parse_query",
    "runs_dir",
]
