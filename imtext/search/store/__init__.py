"""The store of an index, for pictures, files and vectors: a protocol, and SQLite as the default implementation."""

from imtext.search.store.location import (
    create_store,
    link_store,
    open_store,
    rebuild_store,
    register_store,
    store_exists,
)
from imtext.search.store.protocol import File, Grid, Neighbors, Picture, Store

__all__ = [
    "File",
    "Grid",
    "Neighbors",
    "Picture",
    "Store",
    "create_store",
    "link_store",
    "open_store",
    "rebuild_store",
    "register_store",
    "store_exists",
]
