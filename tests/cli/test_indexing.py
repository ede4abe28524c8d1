from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from imtext.errors import StoreError
from imtext.search import Bundle, Index
from imtext.search import index as search_index
from imtext.search.index import index as index_module
from tests.cli.conftest import imtext
from tests.conftest import picture
from tests.tiffs import dng


def test_useless_sources_are_not_remembered(index: Path, tmp_path: Path) -> None:
    copy, empty = shutil.copytree(index, tmp_path / "index"), tmp_path / "empty"
    empty.mkdir()
    done = imtext("index", empty, "--index", copy)
    assert (done.returncode, done.stderr.strip()) == (0, f"no pictures in {empty}")
    assert str(empty) not in imtext("info", copy).stdout


def test_left_out_files_are_listed_up_to_a_limit(index: Path, tmp_path: Path) -> None:
    copy, bad, gone = shutil.copytree(index, tmp_path / "index"), tmp_path / "bad", tmp_path / "gone"
    for folder in (bad, gone):
        folder.mkdir()
    picture(gone / "a.png", 50)
    imtext("index", gone, bad, "--index", copy)
    shutil.rmtree(gone)
    for number in range(12):
        (bad / f"{number:02}.png").write_text(f"no picture {number}")
    assert imtext("index", bad, "--index", copy).stderr.count("left out: ") == 11
    for path in bad.iterdir():
        path.write_text("nor is this")
    lines = imtext("index", "--index", copy).stderr.strip().splitlines()
    assert len(lines) == 11
    assert lines[0].startswith(f"left out: {gone}: no longer exists")
    assert lines[-1] == "left out: … and 3 more (imtext index --status names all)"
    assert imtext("index", "--status", "--index", copy).stdout.count("left out: ") == 13


def test_into_another_store(bundle: Bundle, tmp_path: Path) -> None:
    url = f"lance://{tmp_path / 'tables'}"
    options = ("--index", tmp_path / "index", "--store", url, "--bundle", bundle.path)
    (tmp_path / "own").mkdir()
    picture(tmp_path / "own" / "a.png", 3)
    assert "1 added" in imtext("index", tmp_path / "own", *options).stdout
    assert (tmp_path / "index" / "store.url").read_text().strip() == url
    assert "a.png" in imtext("search", "red", "--index", tmp_path / "index", "--min-relevance", "0").stdout
    refused = imtext("index", "--index", tmp_path / "index", "--store", "lance:///elsewhere")
    assert refused.returncode == 2
    assert "has its store at lance://" in refused.stderr


def test_status_changes_nothing(index: Path) -> None:
    added = picture(index.parent / "late.png", 77)
    printed = imtext("index", "--status", "--index", index).stdout
    added.unlink()
    assert f"new: {added} (not in the index)" in printed
    assert "1 new, 0 changed, 0 gone, 12 unchanged" in printed
    assert len(Index(index)) == 12


def test_status_names_missing_sources(index: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(index, tmp_path / "index")
    (tmp_path / "more").mkdir()
    picture(tmp_path / "more" / "a.png", 50)
    assert imtext("index", tmp_path / "more", "--index", copy).returncode == 0
    (tmp_path / "more" / "a.png").unlink()
    (tmp_path / "more").rmdir()
    printed = imtext("index", "--status", "--index", copy).stdout
    assert f"left out: {tmp_path / 'more'}: no longer exists; --allow-empty forgets it" in printed
    assert "0 new, 0 changed, 0 gone" in printed


def test_verify(index: Path) -> None:
    assert "12 unchanged in" in imtext("index", "--verify", "--index", index).stdout


def test_status_without_an_index(index: Path, tmp_path: Path) -> None:
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nothing")
    added = picture(tmp_path / "a.png", 50)
    printed = imtext("index", tmp_path, "--status", "--index", tmp_path / "index").stdout
    assert f"new: {added} (not in the index)" in printed
    assert f"left out: {tmp_path / 'dangling.png'}: No such file or directory" in printed
    assert "There is no index in" in printed
    assert "1 new" in printed
    assert not (tmp_path / "index").exists()
    assert "There is no index in" in imtext("index", "--status", "--index", tmp_path / "index").stderr


def test_what_is_left_out(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imtext.preprocess.formats._is_installed", lambda module: False)
    photos, index = tmp_path / "photos", tmp_path / "index"
    (photos / "@eaDir").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "._a.png", "@eaDir/a.png")):
        picture(photos / name, number)
    for name in ("1.mov", "2.mov"):
        (photos / name).write_bytes(b"\0\0\0\x14ftypqt  ")
    (photos / "c.dng").write_bytes(dng(Image.new("RGB", (40, 30))))
    (photos / "notes.txt").write_text("nothing")
    counted = 'Left out: 2 MOV, 1 DNG (pip install "imtext[raw]")\n'
    status = imtext("index", photos, "--status", "--index", index, "--exclude", "b.*").stdout
    skipped = "Skipped: 1 hidden, 1 @eaDir (to read them: --include-hidden)"
    assert status.endswith(f"1 new, 0 changed, 0 gone, 0 unchanged\n{counted}{skipped}, 1 by --exclude\n")
    first = imtext("index", photos, "--index", index, "--bundle", bundle.path)
    assert first.stdout.endswith(f"{counted}{skipped}\n")
    assert "2 added" in first.stdout
    (photos / ".imtextignore").write_text("@eaDir/\n")
    again = imtext("index", "--index", index, "--exclude", "a.png", "--include-hidden").stdout
    assert "1 added, 1 removed" in again
    assert again.endswith("Skipped: 1 by .imtextignore, 1 by --exclude\n")
    assert "excluded     a.png\nhidden       files and folders are read, too\n" in imtext("info", index).stdout
    last = imtext("index", "--index", index, "--exclude", "").stdout
    assert last.endswith("Skipped: 1 by .imtextignore\n")
    assert "excluded" not in imtext("info", index).stdout


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "Stopped. Committed pictures are kept."),
        (OSError(28, "No space left on device"), 2, "error: [Errno 28] No space left on device"),
        (StoreError("disk I/O error"), 2, "error: disk I/O error"),
    ],
)
def test_indexing_that_fails(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def fail(*args: object) -> None:
        raise error

    picture(tmp_path / "new.png", 99)
    monkeypatch.setattr(index_module, "apply_changes", fail)
    done = imtext("index", tmp_path, "--index", index)
    assert (done.returncode, done.stderr.strip()) == (code, message)


@pytest.mark.slow
def test_watch(bundle: Bundle, gallery: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    options = ("--index", folder, "--bundle", bundle.path, "--watch")
    command = [sys.executable, "-m", "imtext", "index", *map(str, (gallery, *options))]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # scripts ignore it with &
    ) as watching:  # fmt: skip
        assert watching.stdout is not None
        assert watching.stderr is not None
        try:
            assert watching.stdout.readline().startswith("12 added in")
            assert watching.stdout.readline() == "Watching the folders for changes. Ctrl-C stops.\n"
            new = picture(gallery / "new.png", 77)
            assert watching.stdout.readline().startswith("1 added, 12 unchanged in")
            assert imtext("search", new, "--index", folder, "-p", "-k", "1").stdout == f"{new}\n"
            new.unlink()
            assert watching.stdout.readline().startswith("1 removed, 12 unchanged in")
            gallery.rename(tmp_path / "away")
            assert watching.stdout.readline().startswith("1 left out in")
            (tmp_path / "away").rename(gallery)
            assert watching.stdout.readline().startswith("12 unchanged in")
            picture(gallery / "newer.png", 78)
            assert watching.stdout.readline().startswith("1 added, 12 unchanged in")
        finally:
            os.kill(watching.pid, signal.SIGINT)
        said = watching.stderr.read()
        assert f"left out: {gallery}: no longer exists" in said
        assert said.endswith("\nStopped. Committed pictures are kept.\n")
        assert watching.wait(20) == 130


def test_watching_needs_a_package(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(search_index, "watching", raising=False)
    monkeypatch.delitem(sys.modules, "imtext.search.index.watching", raising=False)
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    done = imtext("index", "--index", index, "--watch")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert 'pip install "imtext[watch]"' in done.stderr


def test_text_in_pictures_needs_an_extra(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    monkeypatch.delitem(sys.modules, "imtext.search.index.reading", raising=False)
    monkeypatch.delattr(search_index, "reading", raising=False)
    done = imtext("index", "--ocr", "--index", index)
    assert done.returncode == 2
    assert 'The package rapidocr is not installed. Install what this needs: pip install "imtext[ocr]"' in done.stderr


@pytest.mark.slow
def test_text_in_pictures(bundle: Bundle, tmp_path: Path) -> None:
    image = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(image).text((60, 100), "BAKERY", fill="black", font=ImageFont.load_default(70))
    image.save(tmp_path / "IMG_1.png")
    made = imtext("index", tmp_path, "--ocr", "--index", tmp_path / "index", "--bundle", bundle.path)
    assert "Text was looked for in 1 pictures in " in made.stdout, made.stderr
    assert "Text was" not in imtext("index", "--ocr", "--index", tmp_path / "index").stdout, "each picture once"
    found = imtext("search", "bakery", "--index", tmp_path / "index", "--min-relevance", "1")
    assert found.stdout.endswith("IMG_1.png  [text in the picture]\n")
