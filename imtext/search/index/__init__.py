"""Pictures that can be searched, and that follow what changes on disk."""

from imtext.search.index.folder import default_index, is_index, own_bundle
from imtext.search.index.index import MAX_TOP_K, Index
from imtext.search.results import SearchResult

__all__ = ["MAX_TOP_K", "Index", "SearchResult", "default_index", "is_index", "own_bundle"]
