"""A folder of pictures that can be searched, and how it follows what changes on disk."""

from imtext.search.index.index import MAX_TOP_K, Index, default_index
from imtext.search.results import SearchResult

__all__ = ["MAX_TOP_K", "Index", "SearchResult", "default_index"]
