"""An index follows its folders, loses nothing, and says why when it leaves something out."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from imtext.errors import SearchError
from imtext.search import Bundle, Encoder, Index, SearchResult, parse_query
from imtext.search.bundle import write_bundle
from imtext.search.store.sqlite import File, Picture, SQLiteStore
from tests.conftest import picture


@pytest.fixture
def index(bundle: Bundle, tmp_path: Path) -> Index:
    return Index.create(tmp_path / "index", bundle)


def names(index: Index) -> list[str]:
    return [Path(file.path).name for file in index.store.files() if not file.reason]


def similar(index: Index, path: Path) -> SearchResult:
    return index.search(parse_query(str(path)), 1)[0]


def test_first_time_and_again(index: Index, gallery: Path) -> None:
    report = index.update([str(gallery)])
    assert (report.added, report.removed, report.unchanged, len(index)) == (12, 0, 0, 12)
    report = index.update()  # what was indexed before
    assert (report.added, report.removed, report.unchanged) == (0, 0, 12)
    for path in sorted(gallery.rglob("*.png")):
        found = similar(index, path)
        assert (found.path, round(found.score, 4)) == (str(path), 1)


def test_vectors_are_those_of_the_pictures(index: Index, gallery: Path, encoder: Encoder) -> None:
    index.update([str(gallery)])
    matrix = index.matrix()
    held = index.store.held(matrix.ids.tolist())
    for number, vector in zip(matrix.ids.tolist(), matrix.vectors, strict=True):
        pixels = index.bundle.preprocess.pixels(Image.open(held[number][0].path).convert("RGB"))
        np.testing.assert_allclose(vector, encoder.encode_images([pixels])[0], atol=1e-5)


def test_added_changed_removed(index: Index, gallery: Path) -> None:
    index.update([str(gallery)])
    picture(gallery / "new.png", 100)
    picture(gallery / "00.png", 101)
    (gallery / "01.png").unlink()
    changes = index.compare()
    assert [Path(file.path).name for file in changes.new] == ["new.png"]
    assert [Path(file.path).name for file in changes.changed] == ["00.png"]
    assert [Path(path).name for path in changes.gone] == ["01.png"]
    report = index.update()
    assert (report.added, report.updated, report.removed, report.unchanged) == (2, 1, 1, 10)
    assert len(index) == 12, "the picture that was overwritten is gone, too"
    assert similar(index, gallery / "00.png").score == pytest.approx(1, abs=1e-4)


def test_renamed_is_not_embedded_again(index: Index, gallery: Path) -> None:
    index.update([str(gallery)])
    before = similar(index, gallery / "03.png").id
    (gallery / "03.png").rename(gallery / "more" / "holiday.png")
    report = index.update()
    assert report.renamed == [(str(gallery / "03.png"), str(gallery / "more" / "holiday.png"))]
    assert (report.added, report.removed) == (0, 0)
    assert similar(index, gallery / "more" / "holiday.png").id == before


def test_copies_are_one_result(index: Index, gallery: Path) -> None:
    shutil.copy(gallery / "03.png", gallery / "a copy.png")
    report = index.update([str(gallery)])
    assert (report.added, report.copies, len(index)) == (12, 1, 12)
    found = similar(index, gallery / "03.png")
    assert (found.path, found.copies) == (str(gallery / "03.png"), (str(gallery / "a copy.png"),))
    (gallery / "03.png").unlink()
    index.update()
    assert similar(index, gallery / "a copy.png").path == str(gallery / "a copy.png")


def test_touched_is_not_changed(index: Index, gallery: Path) -> None:
    index.update([str(gallery)])
    os.utime(gallery / "03.png", (1, 1))
    report = index.update()
    assert (report.added, report.unchanged) == (0, 12)


def test_two_folders_do_not_know_each_other(index: Index, gallery: Path, tmp_path: Path) -> None:
    other = tmp_path / "gallery2"  # a name that begins like the other's
    other.mkdir()
    picture(other / "x.png", 50)
    index.update([str(gallery)])
    index.update([str(other)])
    assert len(index) == 13
    (other / "x.png").rename(tmp_path / "x.png")
    index.update([str(gallery)])
    assert len(index) == 13, "only the folder that was asked for is compared"


def test_lists_and_patterns(index: Index, gallery: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("gallery/00.png\n\ngallery/missing.png\n")
    report = index.update([str(tmp_path / "list.txt")])
    assert names(index) == ["00.png"]
    assert report.refused == {str(gallery / "missing.png"): "No such file or directory"}
    index.update([str(gallery / "0[1-2].png"), str(gallery / "05.png")])
    assert names(index) == ["00.png", "01.png", "02.png", "05.png"]


def test_nothing_there(index: Index, tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="Nothing has been indexed yet"):
        index.update()
    with pytest.raises(SearchError, match=r"There is no .*nowhere\. Give a folder"):
        index.update(["nowhere"])
    with pytest.raises(SearchError, match="There is no index in"):
        Index(tmp_path / "elsewhere")


def test_unmounted_drive(index: Index, gallery: Path) -> None:
    index.update([str(gallery)])
    shutil.rmtree(gallery)
    assert "--allow-empty" in index.update().refused[str(gallery)]
    assert len(index) == 12
    gallery.mkdir()
    with pytest.raises(SearchError, match=r"drive not mounted.*--allow-empty"):
        index.update([str(gallery)])
    assert len(index) == 12
    assert index.update(allow_empty=True).removed == 12
    assert index.search(parse_query("red")) == []


def test_another_models_bundle(index: Index, gallery: Path, bundle: Bundle, tmp_path: Path) -> None:
    index.update([str(gallery)])
    files = {name: (bundle.path / name).read_bytes() for name in bundle.manifest["files"]}
    facts = {key: value for key, value in bundle.manifest.items() if key not in ("schema", "files", "fingerprint")}
    facts["preprocess"] = {**facts["preprocess"], "resize": "crop"}
    other = write_bundle(tmp_path / "other", files, facts)
    with pytest.raises(SearchError, match=r"made with another model.*--rebuild"):
        Index.create(index.folder, other)
    rebuilt = Index.create(index.folder, other, rebuild=True)
    assert len(rebuilt) == 0
    report = rebuilt.update()
    assert (report.added, report.updated) == (12, 0), "it knows its sources"


def test_rebuilt_with_the_same_model(index: Index, gallery: Path, bundle: Bundle) -> None:
    index.update([str(gallery)])
    (index.folder / "bundle" / "tokenizer.json").write_text("damaged")
    (index.folder / ".bundle.unfinished.1").mkdir()  # of a process that was killed
    rebuilt = Index.create(index.folder, bundle, rebuild=True)
    assert rebuilt.update().added == 12
    with FileLock(index.folder / "writer.lock"), pytest.raises(SearchError, match="Another process is indexing"):
        Index.create(index.folder, bundle, rebuild=True)
    assert len(Index(index.folder)) == 12


def test_rebuilt_by_another(index: Index, gallery: Path, bundle: Bundle) -> None:
    index.update([str(gallery)])
    server = Index(index.folder, follow=False)
    server.refresh()
    Index.create(index.folder, bundle, rebuild=True).update()
    with pytest.raises(SearchError, match="was written anew since it was opened; open it again"):
        index.update()
    with pytest.raises(SearchError, match="open it again"):
        index.search(parse_query("red"))
    assert server.replaced()
    assert len(server.search(parse_query("red"), 20)) == 12, "it goes on with what it had until it has looked"


def test_rebuilt_with_what_came_over_standard_input(
    index: Index, gallery: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"\0".join(os.fsencode(path) for path in sorted(gallery.glob("*.png")))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    known = index.update(["-"]).added
    rebuilt = Index.create(index.folder, bundle, rebuild=True)
    assert len(rebuilt) == 0
    report = rebuilt.update()
    assert (report.added, report.removed, len(rebuilt)) == (known, 0, known)


def test_renumbered(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file takes its neighbour's content; contents that one file lets go are still wanted by the next."""
    folder = tmp_path / "numbered"
    folder.mkdir()
    for number in range(80):
        picture(folder / f"{number:03d}.png", number)
    index.update([str(folder)])
    monkeypatch.setattr("imtext.search.index.sync.COMMIT_SECONDS", 0)
    for number in reversed(range(80)):
        (folder / f"{number:03d}.png").rename(folder / f"{number + 1:03d}.png")
    report = index.update()
    assert (report.added, report.removed, len(index)) == (0, 0, 80)
    for path in sorted(folder.iterdir()):  # among so many, two drawings can be as good as the same
        found = {one.path: one.score for one in index.search(parse_query(str(path)), 5)}
        assert found[str(path)] == pytest.approx(1, abs=1e-4)


def test_one_missing_source_does_not_keep_the_others(index: Index, gallery: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    picture(other / "a.png", 70)
    index.update([str(gallery), str(other)])
    shutil.rmtree(other)
    picture(gallery / "new.png", 71)
    report = index.update()
    assert (report.added, report.removed, list(report.refused)) == (1, 0, [str(other)])
    report = index.update(allow_empty=True)
    assert (report.removed, report.refused, index.store.sources()) == (1, {}, [str(gallery)])


def test_one_emptied_source_does_not_keep_the_others(index: Index, gallery: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    picture(other / "a.png", 70)
    index.update([str(gallery), str(other)])
    (other / "a.png").unlink()
    picture(gallery / "new.png", 71)
    warned = {str(other): "has no pictures any more; --allow-empty removes them"}
    changes = index.compare()
    assert (len(changes.new), changes.gone, changes.unseen) == (1, [], warned)
    report = index.update()
    assert (report.added, report.removed, report.refused, len(index)) == (1, 0, warned, 14)
    report = index.update(allow_empty=True)
    assert (report.removed, report.refused, len(index)) == (1, {}, 13)


def test_what_a_pattern_found_is_followed(index: Index, gallery: Path) -> None:
    index.update([str(gallery / "0*.png"), str(gallery / "more" / "10.png")])
    known = len(index)
    (gallery / "00.png").unlink()
    (gallery / "01.png").rename(gallery / "0x.png")
    report = index.update()
    assert (report.removed, len(report.renamed), len(index)) == (1, 1, known - 1)
    shutil.rmtree(gallery / "more")
    assert index.update().removed == 0, "perhaps a drive is not mounted"
    assert index.update(allow_empty=True).removed == 1
    shutil.rmtree(gallery)
    assert index.update(allow_empty=True).removed == len(index.store.sources()) + known - 2
    assert index.search(parse_query("red")) == []


def test_lists_on_standard_input(index: Index, gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = gallery / "two\u2028lines\n.png"
    (gallery / "00.png").rename(odd)
    content = b"\0".join(os.fsencode(path) for path in sorted(gallery.glob("*.png"))) + b"\0"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))  # find -print0
    report = index.update(["-"])
    assert report.added == len(list(gallery.glob("*.png")))
    assert not report.refused
    assert index.store.sources() == []
    odd.unlink()
    picture(gallery / "01.png", 200)
    report = index.update()
    assert (report.added, report.removed) == (1, 1), "the list is not read again, but its files are followed"
    shutil.rmtree(gallery)
    assert index.update().removed == 0, "perhaps a drive is not mounted"
    assert index.update(allow_empty=True).removed == report.unchanged + 1


def test_text_that_is_no_list(index: Index, gallery: Path, tmp_path: Path) -> None:
    text = tmp_path / "letter.txt"
    for content in ("Dear all,\n\nthe photos are on the other drive.\n", ""):
        text.write_text(content)
        with pytest.raises(SearchError, match=r"letter\.txt is no list of pictures: none of its lines"):
            index.update([str(text)])
    assert index.store.sources() == []
    text.write_text("gallery/00.png\n")
    index.update([str(text)])
    (gallery / "00.png").unlink()
    picture(gallery / "new.png", 100)
    assert index.update([str(gallery)]).added == 12
    assert index.update().refused == {str(gallery / "00.png"): "No such file or directory"}, "it was a list once"


def test_sources_without_pictures_are_not_remembered(index: Index, gallery: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    (empty / "deeper").mkdir(parents=True)
    (empty / "film.mov").write_bytes(b"\0\xff")
    given = [str(gallery), str(gallery / "more"), str(empty), str(empty / "film.mov"), str(tmp_path / "emp*")]
    report = index.update(given)
    assert report.bare == given[2:]
    assert index.store.sources() == given[:2]
    for path in (gallery / "more").iterdir():
        path.unlink()
    report = index.update([str(gallery / "more")], allow_empty=True)
    assert (report.removed, report.bare) == (3, []), "the index knew some of it"


def test_neither_picture_nor_list(index: Index, gallery: Path) -> None:
    film = gallery / "film.mov"
    film.write_bytes(b"\0\0\0\x14ftypqt  \xff" + bytes(1000))
    report = index.update([str(gallery / "00.png"), str(film)])
    assert report.added == 1
    assert "neither a picture" in report.refused[str(film)]
    with pytest.raises(SearchError, match="Nothing matches"):
        index.update([str(gallery / "*.tiff")])


def test_one_writer(index: Index, gallery: Path) -> None:
    with FileLock(index.folder / "writer.lock"), pytest.raises(SearchError, match="Another process is indexing"):
        index.update([str(gallery)])


def test_made_under_the_writers_lock(bundle: Bundle, tmp_path: Path) -> None:
    with FileLock(tmp_path / "writer.lock"), pytest.raises(SearchError, match="Another process is indexing"):
        Index.create(tmp_path, bundle)
    assert len(Index.create(tmp_path, bundle)) == 0


def test_what_killed_processes_leave(index: Index, gallery: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    for process in (ended.pid, os.getpid()):
        (index.folder / f"vectors.cache.{process}.1").touch()
        (index.folder / f".bundle.unfinished.{process}").mkdir()
    index.update([str(gallery)])
    left = {path.name for path in index.folder.iterdir() if path.name.startswith(("vectors.cache.", ".bundle."))}
    assert left == {f"vectors.cache.{os.getpid()}.1", f".bundle.unfinished.{os.getpid()}"}


def test_from_where_nothing_may_be_written(index: Index, gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index.update([str(gallery)])
    monkeypatch.setattr("os.access", lambda path, mode: False)
    reader = Index(index.folder)
    assert len(reader) == 12, "what is committed, though it is not in the file itself yet"
    picture(gallery / "new.png", 100)
    index.update()
    assert len(reader.search(parse_query("red"), 20)) == 13


def test_from_where_sqlite_can_write_nothing(
    index: Index, gallery: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files beside the rows cannot be made, as on a read-only mount."""
    index.update([str(gallery)])
    index.store.close()
    connect = sqlite3.connect

    def mounted(address: str, **options: object) -> sqlite3.Connection:
        if address.endswith("?mode=ro"):
            raise sqlite3.OperationalError("unable to open database file")
        return connect(address, **options)  # type: ignore[call-overload, no-any-return]

    with monkeypatch.context() as patched:
        patched.setattr("os.access", lambda path, mode: False)
        patched.setattr("sqlite3.connect", mounted)
        reader = Index(index.folder)
        assert len(reader.search(parse_query("red"), 20)) == 12
    picture(gallery / "new.png", 100)
    writer = Index(index.folder)
    writer.update()
    writer.store.close()
    assert reader.replaced()
    with pytest.raises(SearchError, match="open it again"):
        reader.search(parse_query("red"), 20)


def test_readers_are_not_blocked(index: Index, gallery: Path) -> None:
    index.update([str(gallery)])
    reader = Index(index.folder)
    assert len(reader.search(parse_query("red"), 20)) == 12
    index.store._db.execute("BEGIN IMMEDIATE")  # a writer in the middle of a commit
    assert len(reader.search(parse_query("red"), 20)) == 12
    index.store._db.execute("ROLLBACK")
    picture(gallery / "new.png", 100)
    index.update()
    assert len(reader.search(parse_query("red"), 20)) == 13, "and see what was committed"


def test_batches_and_bounds(index: Index, gallery: Path) -> None:
    index.update([str(gallery)])
    queries = [parse_query(text) for text in ("red", "blue - red", str(gallery / "00.png"))]
    together = index.search_batch(queries, 5)
    for query, results in zip(queries, together, strict=True):
        alone = {one.path: one.score for one in index.search(query, 12)}
        np.testing.assert_allclose([alone[one.path] for one in results], [one.score for one in results], atol=1e-5)
        np.testing.assert_allclose([one.score for one in results], sorted(alone.values())[:-6:-1], atol=1e-5)
    assert together[0][0].relevance is not None
    assert together[2][0].relevance is None, "nothing was learnt about pictures as queries"
    assert index.search(parse_query("red"), 5, min_relevance=1.0) == []
    with pytest.raises(SearchError, match="top_k must be between 1 and 1,000, not 0"):
        index.search(parse_query("red"), 0)


def bomb(path: Path) -> None:
    """A PNG of 60,000 × 60,000 pixels in a few hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def test_hostile_folder(index: Index, tmp_path: Path) -> None:
    """Everything a folder of photos can hold: what can be read is found, the rest is refused with a reason."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    drawing = Image.open(picture(folder / "plain.png", 1)).convert("RGB")
    good = {"plain.png"}
    for name, mode in (("cmyk.jpg", "CMYK"), ("grey.png", "L"), ("16bit.png", "I;16"), ("bilevel.tif", "1")):
        pixels = drawing.convert("L")
        converted = (
            Image.fromarray(np.asarray(pixels).astype(np.uint16) * 257) if mode == "I;16" else drawing.convert(mode)
        )
        converted.save(folder / name)
        good.add(name)
    palette = drawing.quantize(16)
    palette.save(folder / "palette.png", transparency=3)
    drawing.save(folder / "moving.gif", save_all=True, append_images=[drawing.rotate(90)])
    drawing.rotate(90, expand=True).save(folder / "rotated.jpg", exif=_exif(8), quality=95)
    drawing.save(folder / "really a png.jpg", format="PNG")
    drawing.resize((50, 40)).save(folder / "new\nline 🐕.jpg")
    drawing.resize((40, 50)).save(os.fsdecode(os.fsencode(folder) + b"/not utf-8 \xff.jpg"))
    good |= {"palette.png", "moving.gif", "rotated.jpg", "really a png.jpg", "new\nline 🐕.jpg"}
    good.add(os.fsdecode(b"not utf-8 \xff.jpg"))
    (folder / "folder.jpg").mkdir()
    drawing.resize((30, 30)).save(folder / "folder.jpg" / "inside.png")
    good.add("inside.png")

    whole = (folder / "plain.png").read_bytes()
    bad = {
        "truncated.png": whole[: len(whole) // 2], "zero.jpg": b"", "text.jpg": b"a letter",
        "random.webp": bytes(range(256)),
    }  # fmt: skip
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    bomb(folder / "bomb.png")
    (folder / "dangling.jpg").symlink_to(folder / "nothing")
    os.mkfifo(folder / "pipe.jpg")
    refused = {*bad, "bomb.png", "dangling.jpg", "pipe.jpg"}

    report = index.update([str(folder)])
    assert set(names(index)) == good
    assert {Path(path).name for path in report.refused} == refused
    assert all(reason for reason in report.refused.values())
    assert (
        "3,600,000,000" in report.refused[str(folder / "bomb.png")]
        or "60000" in report.refused[str(folder / "bomb.png")]
    )
    # Rotated by its EXIF it is the same picture as the plain one; a bad neighbour has shifted nothing.
    assert similar(index, folder / "rotated.jpg").path == str(folder / "rotated.jpg")
    upright = index.encoder.encode_images([index.bundle.preprocess.pixels(drawing)])[0]
    scores = {result.path: result.score for result in index.nearest(upright[None], 50)[0]}
    assert scores[str(folder / "plain.png")] == pytest.approx(1, abs=1e-4)
    assert scores[str(folder / "rotated.jpg")] > 0.98

    again = index.update()
    assert (again.added, again.unchanged) == (0, len(good))
    assert again.refused_before == len(bad) + 1, "not tried and not named again"
    assert {Path(path).name for path in again.refused} == {"dangling.jpg", "pipe.jpg"}, "not even files"
    shutil.copy(folder / "plain.png", folder / "text.jpg")
    assert "text.jpg" not in {Path(path).name for path in index.update().refused}


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_unreadable(index: Index, gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read now is neither bad nor gone: root is not asked, it may read everything."""
    index.update([str(gallery)])
    read_bytes, scandir = Path.read_bytes, os.scandir
    fails: dict[str, Exception] = {
        str(gallery / "00.png"): PermissionError(13, "Permission denied"),
        str(gallery / "late.png"): OSError(5, "Input/output error"),
        str(gallery / "large.png"): MemoryError(),
    }

    def read(path: Path) -> bytes:
        if str(path) in fails:
            raise fails[str(path)]
        return read_bytes(path)

    def list_folder(path: str) -> Iterator[os.DirEntry[str]]:
        if path == str(gallery / "more"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    picture(gallery / "late.png", 100)
    picture(gallery / "large.png", 101)
    os.utime(gallery / "00.png", (1, 1))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", read)
        patched.setattr("os.scandir", list_folder)
        for _ in range(2):
            version = index.store.version()
            assert index.update().refused == {
                str(gallery / "00.png"): "Permission denied",
                str(gallery / "late.png"): "Input/output error",
                str(gallery / "large.png"): "too large for this machine's memory",
                str(gallery / "more"): "cannot be listed: Permission denied",
            }
            assert len(index) == 12
        assert index.store.version() == version, "nothing new was learnt"
        assert similar(index, gallery / "01.png").path == str(gallery / "01.png")
    report = index.update()
    assert (report.added, report.unchanged, report.refused, len(index)) == (2, 12, {}, 14)


def test_store_commits_all_or_nothing(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "s.sqlite", embed_dim=2)
    vector = np.ones(2, dtype=np.float32)

    def broken() -> list[File]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.commit((Picture(b"a", vector) for _ in broken()), [File("/a", 1, 1, b"a")])
    assert (store.count(), store.version(), list(store.files())) == (0, 0, [])
    store.commit([Picture(b"a", vector)], [File("/a", 1, 1, b"a")])
    version = store.version()
    assert version != 0
    store.commit()
    assert store.version() == version, "nothing changed"


def test_full_disk(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "s.sqlite", embed_dim=1024)
    store._db.execute("PRAGMA max_page_count = 20")
    pictures = [Picture(b"%d" % number, np.ones(1024, dtype=np.float32)) for number in range(100)]
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="database or disk is full"):
            store.commit(pictures, [File("/a", 1, 1, b"1")])
    assert (store.count(), store.version(), list(store.files())) == (0, 0, [])


def test_not_an_index(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(SearchError, match="cannot be read as an index"):
        SQLiteStore(tmp_path / "index.sqlite")
    with SQLiteStore(tmp_path / "new.sqlite", embed_dim=2)._transaction():
        pass
