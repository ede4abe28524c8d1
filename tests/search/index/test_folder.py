"""The folder of an index: creation, rebuild and lock, with the store inside it or elsewhere."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from imtext.errors import BundleError, SearchError
from imtext.search import Bundle, Index
from imtext.search.bundle import write_bundle
from imtext.search.index.folder import attach_index, bundle_stamp, create_index, default_index, is_index, own_bundle
from imtext.search.store import create_store, open_store
from tests.conftest import picture


def test_another_models_bundle(index: Index, gallery: Path, bundle: Bundle, tmp_path: Path) -> None:
    index.update([str(gallery)])
    graphs = {name: bundle.read(file) for name, file in bundle.graphs.items()}
    crop = {**bundle.manifest, "preprocess": {**bundle.manifest["preprocess"], "resize": "crop"}}
    other = write_bundle(tmp_path / "other", graphs, index.encoder.tokenizer, crop)
    with pytest.raises(SearchError, match=r"made with another model.*--rebuild"):
        Index.create(index.folder, other)
    rebuilt = Index.create(index.folder, other, rebuild=True)
    assert len(rebuilt) == 0
    report = rebuilt.update()
    assert (report.added, report.updated) == (12, 0), "it kept its sources"


def test_rebuilt_with_the_same_model(index: Index, gallery: Path, bundle: Bundle) -> None:
    index.update([str(gallery)])
    (index.folder / "bundle" / "tokenizer.json").write_text("damaged")
    (index.folder / ".bundle.unfinished.1").mkdir()  # of a process that was killed
    rebuilt = Index.create(index.folder, bundle, rebuild=True)
    assert rebuilt.update().added == 12
    with FileLock(index.folder / "writer.lock"), pytest.raises(SearchError, match="Another process is indexing"):
        Index.create(index.folder, bundle, rebuild=True)
    assert len(Index(index.folder)) == 12


def test_rebuild_includes_files_from_standard_input(
    index: Index, gallery: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"\0".join(os.fsencode(path) for path in sorted(gallery.glob("*.png")))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    known = index.update(["-"]).added
    rebuilt = Index.create(index.folder, bundle, rebuild=True)
    assert len(rebuilt) == 0
    report = rebuilt.update()
    assert (report.added, report.removed, len(rebuilt)) == (known, 0, known)


def test_one_writer(index: Index, gallery: Path) -> None:
    with FileLock(index.folder / "writer.lock"), pytest.raises(SearchError, match="Another process is indexing"):
        index.update([str(gallery)])


def test_created_under_the_writers_lock(bundle: Bundle, tmp_path: Path) -> None:
    with FileLock(tmp_path / "writer.lock"), pytest.raises(SearchError, match="Another process is indexing"):
        Index.create(tmp_path, bundle)
    assert len(Index.create(tmp_path, bundle)) == 0


def test_leftovers_of_killed_processes(index: Index, gallery: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    for process in (ended.pid, os.getpid()):
        (index.folder / f".bundle.unfinished.{process}").mkdir()
    index.update([str(gallery)])
    left = {path.name for path in index.folder.iterdir() if path.name.startswith(".bundle.")}
    assert left == {f".bundle.unfinished.{os.getpid()}"}


def test_a_folder_with_every_kind_of_file(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    assert (is_index(folder), own_bundle(folder), bundle_stamp(folder)) == (False, None, None)
    create_index(folder, bundle)
    assert (is_index(folder), own_bundle(folder), Index.exists(folder)) == (True, folder / "bundle", True)
    stamp = bundle_stamp(folder)
    create_index(folder, bundle)
    assert bundle_stamp(folder) == stamp, "the index that is there is left alone"


def test_a_folder_with_other_files(bundle: Bundle, tmp_path: Path) -> None:
    picture(tmp_path / "photo.png", 1)
    with pytest.raises(SearchError, match="contains other files; choose an empty or a new folder"):
        create_index(tmp_path, bundle)


def test_creation_that_was_killed(bundle: Bundle, tmp_path: Path) -> None:
    create_index(tmp_path / "index", bundle)
    for name in ("index.sqlite-wal", "index.sqlite-shm", "index.sqlite"):
        (tmp_path / "index" / name).unlink(missing_ok=True)
    (tmp_path / "index" / ".bundle.unfinished.1").mkdir()
    create_index(tmp_path / "index", bundle)
    assert len(Index(tmp_path / "index")) == 0


def test_a_rebuild_that_was_killed(bundle: Bundle, tmp_path: Path) -> None:
    """The store was replaced, and the bundle was not."""
    create_index(tmp_path / "index", bundle)
    type(open_store(tmp_path / "index")).rebuild(open_store(tmp_path / "index").location, bundle.embed_dim + 1)
    with pytest.raises(SearchError, match=r"A rebuild of .* was interrupted\. Finish it: imtext index --rebuild"):
        Index(tmp_path / "index")
    assert len(Index.create(tmp_path / "index", bundle, rebuild=True)) == 0
    (tmp_path / "index" / "bundle" / "manifest.json").unlink()
    with pytest.raises(BundleError):
        Index(tmp_path / "index")


def test_a_store_elsewhere(bundle: Bundle, gallery: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere/pictures.sqlite"
    made = Index.create(tmp_path / "index", bundle, store=url)
    assert made.update([str(gallery)]).added == 12
    assert (made.store.location, len(Index(tmp_path / "index"))) == (url, 12)
    assert len(Index.create(tmp_path / "index", bundle, store=url)) == 12
    assert not any("sqlite" in path.name for path in (tmp_path / "index").iterdir())
    for other in (f"sqlite:///{tmp_path}/other.sqlite", "memory://other"):
        with pytest.raises(SearchError, match=r"has its store at .*; choose another folder"):
            Index.create(tmp_path / "index", bundle, store=other)
        with pytest.raises(SearchError, match=r"has its store at .*; choose another folder"):
            Index.create(tmp_path / "index", bundle, rebuild=True, store=other)
    assert len(Index(tmp_path / "index")) == 12, "what is refused destroys nothing"
    with pytest.raises(SearchError, match="already belongs to another index"):
        Index.create(tmp_path / "second", bundle, store=url)
    rebuilt = Index.create(tmp_path / "index", bundle, rebuild=True)
    assert (rebuilt.store.location, rebuilt.update().added) == (url, 12)


def test_an_empty_store_that_a_killed_creation_left(bundle: Bundle, tmp_path: Path) -> None:
    url = f"memory://{tmp_path}"
    create_store(url, bundle.embed_dim)
    assert len(Index.create(tmp_path / "index", bundle, store=url)) == 0


def test_attached_to_a_store_that_another_machine_writes(gallery: Path, bundle: Bundle, tmp_path: Path) -> None:
    url = f"lance://{tmp_path / 'tables'}"
    with pytest.raises(SearchError, match="There is no index in"):
        attach_index(tmp_path / "served", bundle, url)
    index = Index.create(tmp_path / "index", bundle, store=url)
    index.update([str(gallery)])
    attach_index(tmp_path / "served", bundle, url)
    attach_index(tmp_path / "served", bundle, url)
    served = Index(tmp_path / "served")
    assert (len(served), served.bundle.fingerprint) == (12, bundle.fingerprint)
    graphs = {name: bundle.read(file) for name, file in bundle.graphs.items()}
    crop = {**bundle.manifest, "preprocess": {**bundle.manifest["preprocess"], "resize": "crop"}}
    other = write_bundle(tmp_path / "other", graphs, index.encoder.tokenizer, crop)
    with pytest.raises(SearchError, match=f"by another model .{bundle.fingerprint}, not {other.fingerprint}."):
        attach_index(tmp_path / "served", other, url)
    Index.create(tmp_path / "index", other, rebuild=True)
    assert served.replaced()
    with pytest.raises(SearchError, match=r"Serve with their bundle: imtext serve .* --store lance://"):
        Index(tmp_path / "served")
    attach_index(tmp_path / "served", other, url)
    assert Index(tmp_path / "served").bundle.fingerprint == other.fingerprint
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(SearchError, match="contains other files"):
        attach_index(tmp_path / "full", other, url)


def test_an_index_does_not_change_its_store(index: Index, gallery: Path, bundle: Bundle, tmp_path: Path) -> None:
    index.update([str(gallery)])
    url, before = f"lance://{tmp_path / 'other'}", index.store.location
    Index.create(tmp_path / "indexer", bundle, store=url)
    with pytest.raises(SearchError, match=r"has its store at .*; choose another folder"):
        attach_index(index.folder, bundle, url)
    assert (Index(index.folder).store.location, len(Index(index.folder))) == (before, 12)


def test_a_lost_folder_of_the_indexer_is_attached_again(gallery: Path, bundle: Bundle, tmp_path: Path) -> None:
    url = f"lance://{tmp_path / 'tables'}"
    Index.create(tmp_path / "lost", bundle, store=url).update([str(gallery)])
    with pytest.raises(SearchError, match="already belongs to another index"):
        Index.create(tmp_path / "new", bundle, store=url)
    attach_index(tmp_path / "new", bundle, url)
    assert Index.create(tmp_path / "new", bundle, store=url).update().unchanged == 12


def test_a_store_without_a_model_is_served_where_it_is(index: Index, bundle: Bundle, tmp_path: Path) -> None:
    if not index.store.model:
        with pytest.raises(SearchError, match="does not record its model"):
            attach_index(tmp_path / "served", bundle, index.store.location)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")
def test_default_on_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMTEXT_INDEX", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in (None, ""):
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        if folder is not None:
            monkeypatch.setenv("XDG_DATA_HOME", folder)
        assert default_index() == tmp_path / ".local/share/imtext/index"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_index() == tmp_path / "data/imtext/index"
    monkeypatch.setenv("IMTEXT_INDEX", "~/mine")
    assert default_index() == tmp_path / "mine"


def test_default_on_a_mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from platformdirs.macos import MacOS

    for name in ("IMTEXT_INDEX", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(
        "imtext.search.index.folder.user_data_path", lambda *names, **options: MacOS(*names, **options).user_data_path
    )
    assert default_index() == tmp_path / "Library/Application Support/imtext/index"
