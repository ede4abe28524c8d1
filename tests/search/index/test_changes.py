"""The changes that an update would make."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imtext.search.index.changes import compare, has_files
from imtext.search.index.discovery import Found, find
from imtext.search.store import File, Picture, Store, create_store
from imtext.search.store.records import unread


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return create_store(f"memory://{tmp_path}", 2)


def know(store: Store, *files: File) -> None:
    store.commit([Picture(file.content, np.ones(2, np.float32)) for file in files if not file.reason], files)


def paths(*files: str) -> Found:
    return Found(files={path: File(path, 1, 1) for path in files}, folders=["/pictures"])


def test_new_changed_gone(store: Store) -> None:
    assert not has_files(store)
    know(store, *(File(f"/pictures/{name}", 1, 1, name.encode()) for name in "abc"), File("/pictures2/d", 1, 1, b"d"))
    found = paths("/pictures/a", "/pictures/b", "/pictures/e")
    found.files["/pictures/b"] = File("/pictures/b", 1, 2)
    changes = compare(store, found)
    assert ([file.path for file in changes.new], changes.gone) == (["/pictures/e"], ["/pictures/c"])
    assert ([file.path for file in changes.changed], changes.unchanged) == (["/pictures/b"], 1)
    assert has_files(store, "/pictures2")
    assert not has_files(store, "/pict")


def test_refused_files_are_tried_again_only_when_they_change(store: Store) -> None:
    know(store, File("/pictures/bad", 1, 1).refuse("not a picture"), unread("/pictures/later", "Input/output error"))
    changes = compare(store, paths("/pictures/bad", "/pictures/later"))
    assert [file.path for file in changes.changed] == ["/pictures/later"], "it could not be read"
    assert (changes.unchanged, changes.refused_before) == (1, 1)


def test_what_is_left_out_is_gone(store: Store) -> None:
    """Also pictures that were named in a list, which no folder that is searched contains."""
    know(store, *(File(f"/{path}", 1, 1, path.encode()) for path in ("list/a", "list/@eaDir/b", "list/c.mov")))
    found = Found(complete=True, skipped={"/list/@eaDir": "@eaDir", "/x/.DS_Store": ""}, other={"/list/c.mov": "MOV"})
    changes = compare(store, found)
    assert changes.gone == ["/list/@eaDir/b", "/list/c.mov"]
    assert (dict(changes.skipped), dict(changes.other)) == ({"@eaDir": 1}, {"MOV": 1})
    assert [file.path for file in compare(None, paths("/pictures/a")).new] == ["/pictures/a"]


def test_inaccessible_files_are_not_gone(store: Store) -> None:
    know(store, File("/pictures/a", 1, 1, b"a"), File("/pictures/locked/b", 1, 1, b"b"))
    found = paths()
    found.refused = {"/pictures/locked": "cannot be listed"}
    changes = compare(store, found)
    assert (changes.gone, changes.refused) == (["/pictures/a"], found.refused)


def test_files_outside_of_folders_are_followed_when_all_sources_are_searched(store: Store, gallery: Path) -> None:
    for path in (gallery / "00.png", gallery / "01.png", Path("/drive/not mounted/x.png")):
        know(store, File(str(path), 1, 1, str(path).encode()))
    (gallery / "01.png").unlink()
    found = Found(complete=True)
    changes = compare(store, found)
    assert ([file.path for file in changes.changed], changes.gone) == (
        [str(gallery / "00.png")],
        [str(gallery / "01.png")],
    )
    assert found.files == {}, "what was found is not altered"
    assert compare(store, Found()).gone == []
    assert set(compare(store, Found(complete=True, trust_missing=True)).gone) == {
        str(gallery / "01.png"),
        "/drive/not mounted/x.png",
    }


def test_another_time_is_a_change(store: Store, gallery: Path) -> None:
    found = find([str(gallery)])
    know(store, *(File(file.path, file.size, file.mtime_ns, file.path.encode()) for file in found.files.values()))
    os.utime(gallery / "03.png", (1, 1))
    changes = compare(store, find([str(gallery)]))
    assert ([file.path for file in changes.changed], changes.unchanged) == ([str(gallery / "03.png")], 11)


def test_a_file_that_was_replaced_is_changed_although_date_and_size_are_the_same(store: Store, gallery: Path) -> None:
    found = find([str(gallery)])
    know(store, *(replace(file, content=file.path.encode()) for file in found.files.values()))
    edited, replaced = gallery / "03.png", gallery / "04.png"
    state = edited.stat()
    edited.write_bytes(edited.read_bytes()[::-1])
    os.utime(edited, ns=(state.st_atime_ns, state.st_mtime_ns))
    shutil.copy2(replaced, gallery / "other")
    (gallery / "other").replace(replaced)
    changes = compare(store, find([str(gallery)]))
    assert ([file.path for file in changes.changed], changes.unchanged) == ([str(edited), str(replaced)], 10)
    assert (changes.recorded, len(compare(store, found, verify=True).changed)) == ([], 12)


def test_unchanged_files_are_those_that_are_known(store: Store, gallery: Path) -> None:
    """Nothing new is made of them; what is verified is read as if nothing was known of it."""
    found = find([str(gallery)])
    good, bad = found.files[str(gallery / "03.png")], found.files[str(gallery / "04.png")]
    know(store, replace(good, content=b"3"), bad.refuse("no codec"))
    known = {file.path: file for file in store.files()}
    again = find([str(gallery)], known=known)
    assert all(again.files[path] is file for path, file in known.items())
    changes = compare(store, again, verify=True)
    assert changes.changed == [good, bad]
    assert changes.before == {good.path: b"3", bad.path: b""}
    (gallery / "03.png").unlink()
    assert compare(store, find([str(gallery)], known=known)).before == {good.path: b"3"}


def test_what_an_earlier_version_did_not_record_is_no_change(store: Store, gallery: Path) -> None:
    found = find([str(gallery)])
    plain = [File(file.path, file.size, file.mtime_ns, file.path.encode()) for file in found.files.values()]
    know(store, *plain[1:], replace(plain[0], content=b"").refuse("not a picture"))
    changes = compare(store, found)
    assert (changes.changed, changes.unchanged) == ([], 12)
    assert [(file.content, file.reason) for file in changes.recorded] == [
        (file.content, file.reason) for file in store.files()
    ]
    store.commit(files=changes.recorded)
    assert compare(store, found).recorded == []
