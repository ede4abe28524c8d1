"""An update adds, changes, renames and removes files, loses nothing, and reports why it leaves something out."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imtext.preprocess import open_image
from imtext.search import Encoder, Index, parse_query
from imtext.search.facts import Facts
from imtext.search.hashing import hash_picture
from imtext.search.index.apply import apply_changes
from imtext.search.index.changes import compare
from imtext.search.index.discovery import find
from imtext.search.index.embedding import LocalEmbedder
from imtext.search.query import picture_query
from imtext.search.store import File, create_store
from tests.conftest import picture
from tests.search.index.conftest import names, similar
from tests.search.photos import photo


def test_into_any_store(gallery: Path, encoder: Encoder) -> None:
    store = create_store("memory://apply", encoder.bundle.embed_dim)
    seen: list[tuple[int, int, str]] = []
    embedder, size = LocalEmbedder(encoder), encoder.bundle.preprocess.image_size
    changes = compare(store, find([str(gallery)]))
    report = apply_changes(store, embedder, changes, size, lambda *step: seen.append(step))
    assert (report.added, store.count()) == (12, 12)
    assert [step[:2] for step in seen] == [(number, 12) for number in range(1, 13)]
    assert seen[0][2] == str(gallery / "00.png")
    assert apply_changes(store, embedder, compare(store, find([str(gallery)])), size).unchanged == 12


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


def test_renumbered(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file gets its neighbour's content; a content that one file loses is still used by the next file."""
    folder = tmp_path / "numbered"
    folder.mkdir()
    for number in range(80):
        picture(folder / f"{number:03d}.png", number)
    index.update([str(folder)])
    monkeypatch.setattr("imtext.search.index.apply.COMMIT_SECONDS", 0)
    for number in reversed(range(80)):
        (folder / f"{number:03d}.png").rename(folder / f"{number + 1:03d}.png")
    report = index.update()
    assert (report.added, report.removed, len(index)) == (0, 0, 80)
    for path in sorted(folder.iterdir()):  # among so many, two drawings can be nearly equal
        found = {result.path: result.score for result in index.search(parse_query(str(path)), 5)}
        assert found[str(path)] == pytest.approx(1, abs=1e-4)


def bomb(path: Path) -> None:
    """A PNG of 60,000 × 60,000 pixels in a few hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def test_hostile_folder(index: Index, tmp_path: Path) -> None:
    """A folder with every kind of file: readable pictures are found, the rest is refused with a reason."""
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
    # Rotated by its EXIF data it equals the plain picture; broken files next to it have no effect.
    assert similar(index, folder / "rotated.jpg").path == str(folder / "rotated.jpg")
    upright = index.encoder.encode_images([index.bundle.preprocess.pixels(drawing)])[0]
    scores = {result.path: result.score for result in index.search_queries([picture_query(upright)], 50, fold=False)[0]}
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
    """A file that cannot be read now is neither broken nor gone. Not tested as root, who may read everything."""
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


def test_edited_with_the_same_date_and_size(index: Index, tmp_path: Path) -> None:
    """As editors do that keep the date, of formats whose size follows from that of the picture."""
    folder = tmp_path / "bitmaps"
    folder.mkdir()
    path = picture(folder / "a.bmp", 1)
    index.update([str(folder)])
    before = path.stat()
    picture(path, 2)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    report = index.update()
    assert (report.added, report.updated, len(index)) == (1, 1, 1)
    assert similar(index, path).score == pytest.approx(1, abs=1e-4)


def test_a_restored_backup_is_read_but_not_embedded(
    index: Index, gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.update([str(gallery)])
    ids = index.store.ids()
    shutil.copytree(gallery, tmp_path / "backup")  # with its dates
    shutil.rmtree(gallery)
    (tmp_path / "backup").rename(gallery)
    assert len(index.compare().changed) == 12
    monkeypatch.setattr(Encoder, "encode_images", pytest.fail)
    report = index.update()
    assert (report.added, report.unchanged, report.renamed, report.copies) == (0, 12, [], 0)
    assert (index.store.ids(), index.compare().unchanged) == (ids, 12)


def test_verify_finds_what_no_date_shows(index: Index, gallery: Path) -> None:
    index.update([str(gallery)])
    path = gallery / "03.png"
    (known,) = (file for file in index.store.files() if file.path == str(path))
    picture(path, 100)
    index.store.commit(files=[replace(File.found(str(path), path.stat()), content=known.content)])
    assert index.update().unchanged == 12
    report = index.update(verify=True)
    assert (report.updated, report.added, report.unchanged) == (1, 1, 11)
    assert similar(index, path).score == pytest.approx(1, abs=1e-4)


def test_facts_are_read_with_the_picture_or_later(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    photo(folder / "a.jpg", taken="2024:05:12 14:03:11", place=(38.72, -9.14))
    photo(folder / "b.jpg", seed=1)
    hashes = [
        hash_picture(open_image(folder / name, index.bundle.preprocess.image_size)) for name in ("a.jpg", "b.jpg")
    ]
    expected = [Facts(40, 30, "2024-05-12T14:03:11", "", 38.72, -9.14, hashes[0]), Facts(40, 30, hash=hashes[1])]
    with monkeypatch.context() as earlier:
        earlier.setattr("imtext.search.index.preparation.read_facts", lambda *of: None)
        earlier.setattr("imtext.search.index.apply.describe", lambda *of: 0)
        index.update([str(folder)])
    assert index.store.facts(index.store.ids()) == {}
    monkeypatch.setattr(Encoder, "encode_images", pytest.fail)
    assert (report := index.update()).described == 2
    assert (report.added, report.unchanged) == (0, 2)
    assert [index.store.facts([id])[id] for id in index.store.ids()] == expected
    monkeypatch.undo()
    photo(folder / "c.jpg", seed=2, camera=("Canon", "Canon EOS 80D"))
    assert (report := index.update()).described == 0
    assert index.store.facts(index.store.ids())[index.store.ids()[-1]].camera == "Canon EOS 80D"
