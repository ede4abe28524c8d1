"""The index: a searchable collection of pictures, updated when files on disk change."""

from imtext.search.index.answer import MAX_TOP_K, SearchOptions, list_pictures
from imtext.search.index.folder import attach_index, default_index, is_index, own_bundle
from imtext.search.index.index import Index
from imtext.search.index.rules import Rules, read_rules
from imtext.search.results import SearchResult

__all__ = [
    "MAX_TOP_K", "Index", "Rules", "SearchOptions", "SearchResult", "attach_index", "default_index", "is_index",
    "list_pictures", "own_bundle", "read_rules",
]  # fmt: skip
