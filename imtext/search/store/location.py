"""Locations of stores. A location is a URL such as ``sqlite:///index.sqlite``, or the folder of an index.

A folder contains its own SQLite store, unless its file `store.url` names another store.
"""

from __future__ import annotations

import os
from pathlib import Path

from imtext.errors import SearchError
from imtext.search.store.lance import SCHEMES, LanceStore
from imtext.search.store.protocol import Store
from imtext.search.store.sharded import SCHEME as SHARDS
from imtext.search.store.sharded import ShardedStore
from imtext.search.store.sqlite import MATRIX, ROWS, SCHEME, SQLiteStore

LINK = "store.url"

Location = str | os.PathLike[str]

_STORES: dict[str, type[Store]] = {
    SCHEME: SQLiteStore, **dict.fromkeys(SCHEMES, LanceStore), SHARDS: ShardedStore,
}  # fmt: skip


def register_store(scheme: str, store: type[Store]) -> None:
    """Register the class of stores with URLs ``<scheme>://…``."""
    _STORES[scheme] = store


def open_store(location: Location) -> Store:
    """Open the store of a folder or at a URL.

    Raises:
        SearchError: there is no store, it cannot be read, or no class is registered for the URL's scheme.
    """
    url = store_url(location)
    return _class(url).open(url)


def create_store(location: Location, embed_dim: int, model: str = "") -> Store:
    """Open the store of a folder or at a URL; create it if needed."""
    url = store_url(location)
    return _class(url).create(url, embed_dim, model)


def store_exists(location: Location) -> bool:
    """Is there a store in this folder or at this URL?"""
    url = store_url(location)
    return _class(url).exists(url)


def rebuild_store(location: Location, embed_dim: int, model: str = "") -> None:
    """Replace the store of a folder or at a URL by a store without pictures; see `Store.rebuild`."""
    url = store_url(location)
    _class(url).rebuild(url, embed_dim, model)


def link_store(folder: Path, url: str) -> None:
    """Record in a folder that its store is at a URL."""
    unfinished = folder / f"{LINK}.{os.getpid()}"
    unfinished.write_text(f"{url}\n")
    unfinished.replace(folder / LINK)


def store_url(location: Location) -> str:
    """The URL of a folder's store; a URL is returned unchanged."""
    name = os.fspath(location)
    if "://" in name:
        return name
    try:
        return (Path(name) / LINK).read_text().strip()
    except OSError:
        return f"{SCHEME}:///{Path(name) / ROWS}"


def belongs_to_store(name: str) -> bool:
    """Does a file in the folder of an index belong to its store?"""
    return name.startswith((ROWS, MATRIX, LINK))


def _class(url: str) -> type[Store]:
    scheme = url.partition("://")[0]
    if scheme not in _STORES:
        known = ", ".join(f"{known}://" for known in sorted(_STORES))
        raise SearchError(
            f"{url} is not the location of a store: give a folder, or a URL that begins with {known}. "
            "Register one of your own first: imtext.search.store.register_store"
        )
    return _STORES[scheme]
