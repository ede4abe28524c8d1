"""The folder of an index: its store, a copy of the bundle that embeds its pictures, and the writer's lock."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_data_path

from imtext.errors import SearchError
from imtext.search.bundle import Bundle, copy_bundle, is_replaceable, load_bundle
from imtext.search.index.rules import SETTINGS
from imtext.search.leftovers import remove_leftovers
from imtext.search.manifest import MANIFEST
from imtext.search.store.location import (
    belongs_to_store,
    create_store,
    link_store,
    open_store,
    rebuild_store,
    store_exists,
    store_url,
)
from imtext.search.store.protocol import Store

LOCK, BUNDLE = "writer.lock", "bundle"


def default_index() -> Path:
    """The folder of the index if none is named: `IMTEXT_INDEX`, or a folder in the user's data folder."""
    if named := os.environ.get("IMTEXT_INDEX"):
        return Path(named).expanduser().absolute()
    return user_data_path("imtext", appauthor=False) / "index"


def is_index(folder: Path) -> bool:
    """Is there an index in this folder?"""
    return store_exists(folder)


def own_bundle(folder: Path) -> Path | None:
    """The folder of an index's own bundle; None if there is none, as after an interrupted rebuild."""
    bundle = folder / BUNDLE
    return bundle if (bundle / MANIFEST).is_file() else None


def create_index(folder: Path, bundle: Bundle, rebuild: bool = False, store: str | None = None) -> None:
    """Create an index, or complete one whose creation was interrupted.

    Args:
        folder: folder of the index.
        bundle: embeds the pictures; the index keeps a copy, so that it needs nothing else.
        rebuild: discard all vectors; sources and file names are kept.
        store: URL of the store; None: the folder's present store, or SQLite in the folder.

    Raises:
        SearchError: the index has another bundle or another store, the folder contains other files, or another process
            is writing.
    """
    if not is_index(folder):
        _require_free(folder)
        folder.mkdir(parents=True, exist_ok=True)
    if rebuild or not is_index(folder):
        with only_writer(folder):
            if not is_index(folder):
                copy_bundle(bundle, folder / BUNDLE)
                _create_store(folder, bundle, store)
            elif rebuild:
                _require_store(folder, store)
                _rebuild(folder, bundle)
    _require_store(folder, store)
    if (made_with := load_bundle(folder / BUNDLE).fingerprint) != bundle.fingerprint:
        raise SearchError(
            f"The index in {folder} was made with another model ({made_with}, not {bundle.fingerprint}): their "
            "vectors cannot be compared. Omit --bundle to use the index's own model, add --rebuild to embed "
            "everything again, or choose another --index"
        )
    create_store(folder, bundle.embed_dim, bundle.fingerprint).close()


def attach_index(folder: Path, bundle: Bundle, url: str) -> None:
    """Make the folder of an index whose store another machine writes, or give it the store's new bundle.

    Args:
        folder: folder of the index on this machine.
        bundle: the one that embedded the pictures; the folder keeps a copy.
        url: URL of the store.

    Raises:
        SearchError: there is no store, it belongs to another bundle, the folder has the index of another store, or it
            contains other files.
    """
    with closing(open_store(url)) as opened:
        if opened.model == "":
            raise SearchError(f"{url} does not record its model; serve the folder in which it was indexed")
        require_model(folder, opened, bundle)
        location = opened.location
    if is_index(folder):
        _require_store(folder, url)
    else:
        _require_free(folder)
        folder.mkdir(parents=True, exist_ok=True)
    with only_writer(folder):
        if own_bundle(folder) is None or load_bundle(folder / BUNDLE).fingerprint != bundle.fingerprint:
            copy_bundle(bundle, folder / BUNDLE)
        link_store(folder, location)


def require_model(folder: Path, store: Store, bundle: Bundle) -> None:
    """Refuse a bundle that did not embed the pictures: another machine may have rebuilt the store.

    Raises:
        SearchError: the store records another one.
    """
    if store.model not in ("", bundle.fingerprint):
        raise SearchError(
            f"The pictures in {store.location} were embedded by another model ({store.model}, not "
            f"{bundle.fingerprint}). Serve with their bundle: imtext serve {folder} --store {store.location} "
            "--bundle <bundle>"
        )


def _require_free(folder: Path) -> None:
    """Refuse a folder with files other than those of an index that a killed process left incomplete."""
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    if not all(name.startswith((LOCK, BUNDLE, SETTINGS, ".")) or belongs_to_store(name) for name in names):
        raise SearchError(f"{folder} contains other files; choose an empty or a new folder for the index")


def _require_store(folder: Path, url: str | None) -> None:
    """Refuse to use or replace an index with another store than the one that the user names."""
    if url is not None and not _same_store(folder, url):
        raise SearchError(
            f"The index in {folder} has its store at {store_url(folder)}, not at {url}; choose another folder"
        )


def _create_store(folder: Path, bundle: Bundle, url: str | None) -> None:
    made = create_store(folder if url is None else url, bundle.embed_dim, bundle.fingerprint)
    try:
        if made.sources() or any(True for _ in made.files()):
            raise SearchError(f"{made.location} already belongs to another index; choose another store")
        if url is not None:
            link_store(folder, made.location)
    finally:
        made.close()


def _same_store(folder: Path, url: str) -> bool:
    locations = set()
    for location in (folder, url):
        if not store_exists(location):
            return False
        opened = open_store(location)
        locations.add(opened.location)
        opened.close()
    return len(locations) == 1


def _rebuild(folder: Path, bundle: Bundle) -> None:
    """Rebuild first the store, then the bundle. If killed in between, the index refuses to search until rebuilt."""
    rebuild_store(folder, bundle.embed_dim, bundle.fingerprint)
    own = folder / BUNDLE
    if own.resolve() != bundle.path.resolve():
        if not is_replaceable(own):
            shutil.rmtree(own, ignore_errors=True)  # a damaged bundle, which `copy_bundle` would not overwrite
        copy_bundle(bundle, own)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the index's lock.

    Raises:
        SearchError: another process holds it.
    """
    try:
        with FileLock(folder / LOCK).acquire(timeout=0):
            yield
    except Timeout:
        raise SearchError(f"Another process is indexing into {folder}; wait for it, then try again") from None


def bundle_stamp(folder: Path) -> tuple[int, int] | None:
    """A value that changes when the index's bundle is replaced; None if there is no bundle. Costs one `stat`."""
    try:
        state = (folder / BUNDLE / MANIFEST).stat()
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns


def tidy(folder: Path) -> None:
    """Remove copies of bundles that killed processes left unfinished."""
    remove_leftovers(folder, rf"\.{BUNDLE}\.(?:unfinished|old)")
