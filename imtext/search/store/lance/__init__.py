"""A store in tables of Lance, in a folder or on an object store, for many pictures and several servers."""

from imtext.search.store.lance.store import SCHEMES, LanceStore

__all__ = ["SCHEMES", "LanceStore"]
