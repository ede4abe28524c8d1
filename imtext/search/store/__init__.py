"""The store of an index, for pictures, files, vectors and words: a protocol, and SQLite by default."""

from imtext.search.store.location import (
    create_store,
    link_store,
    open_store,
    rebuild_store,
    register_store,
    store_exists,
)
from imtext.search.store.protocol import Store
from imtext.search.store.records import File, Grid, Neighbors, Picture, WordMatch

__all__ = [
    "File",
    "Grid",
    "Neighbors",
    "Picture",
    "Store",
    "WordMatch",
    "create_store",
    "link_store",
    "open_store",
    "rebuild_store",
    "register_store",
    "store_exists",
]
