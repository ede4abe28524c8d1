"""The `imtext` command, in processes of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from imtext.search import Bundle, Index
from imtext.search.bundle import write_bundle
from tests.conftest import picture


def imtext(*args: str | Path, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "imtext", *map(str, args)],
        capture_output=True, text=True, input=stdin, env={**os.environ, "TERM": "dumb", **environment}, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def index(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(12):
        picture(folder / f"{number:02}.png", number)
    made = imtext("index", folder, "--index", folder / "index", "--bundle", bundle.path)
    assert made.returncode == 0, made.stderr
    assert "12 added in" in made.stdout
    return folder / "index"


def test_no_torch_behind_the_door(index: Path) -> None:
    code = (
        "import sys; sys.argv = ['imtext', 'search', 'red', '--json', '--index', sys.argv[1]]\n"
        "from imtext.cli.main import app; app(standalone_mode=False); import imtext.search.index.sync\n"
        "bad = {'torch', 'lightning', 'hydra', 'omegaconf', 'datasets', 'mlflow', 'torchvision', 'matplotlib'}\n"
        "print(sorted(bad & {name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(index)], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_search_json(index: Path) -> None:
    done = imtext("search", "a red circle", "--index", index, "--json", "--top-k", "3", "--min-relevance", "0")
    rows = json.loads(done.stdout)
    assert [sorted(row) for row in rows] == [["path", "relevance", "score"]] * 3
    assert rows[0]["score"] >= rows[1]["score"]


def test_search_from_the_environment_for_pipes(index: Path) -> None:
    done = imtext("search", index.parent / "03.png", "--paths-only", "-k", "2", IMTEXT_INDEX=str(index))
    assert done.stdout.splitlines()[0] == str(index.parent / "03.png")
    done = imtext("search", index.parent / "03.png", "-p", "-0", "-k", "1", IMTEXT_INDEX=str(index))
    assert done.stdout == f"{index.parent / '03.png'}\0"


def test_batch(index: Path) -> None:
    done = imtext("search", "--queries", "-", "--json", "--index", index, "--min-relevance", "0", stdin="red\n\nblue\n")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["query"] for row in rows] == ["red", "blue"]
    assert len(rows[0]["results"]) == 10


def test_no_good_match(index: Path) -> None:
    done = imtext("search", "zebra", "--index", index, "--min-relevance", "1")
    assert done.returncode == 1
    assert "No good match. --min-relevance 0 shows the nearest anyway." in done.stdout
    assert "not in the model's vocabulary: zebra" in done.stderr


def test_no_word_is_known(index: Path) -> None:
    done = imtext("search", "Xyzzy! + 2:plugh", "--index", index)
    assert (done.returncode, "No good match" in done.stdout) == (1, True)
    assert "  0 %" in imtext("search", "xyzzy", "--index", index, "--min-relevance", "0").stdout


def test_sheet(index: Path, tmp_path: Path) -> None:
    done = imtext("search", "<b>red & blue", "--index", index, "--min-relevance", "0", "--sheet", tmp_path / "s.html")
    assert done.returncode == 0
    page = (tmp_path / "s.html").read_text()
    assert page.count("data:image/jpeg") == 10
    assert "&lt;b&gt;red &amp; blue" in page
    odd = shutil.copy(index.parent / "03.png", os.fsdecode(os.fsencode(tmp_path) + b"/not utf-8 \xff.png"))
    done = imtext("search", odd, "--index", index, "--sheet", tmp_path / "s.html")
    assert done.returncode == 0, done.stderr
    assert "not utf-8 ?.png" in (tmp_path / "s.html").read_text()


def test_sign_at_the_beginning(index: Path) -> None:
    done = imtext("search", "- red", "-p", "--index", index, "--min-relevance", "0")
    assert done.returncode == 0, done.stderr
    assert "No such option: --jsno" in imtext("search", "red", "--jsno", "--index", index).stderr


@pytest.mark.parametrize("option", ["--paths-only", "--json", "--top-k=5"])
def test_reader_that_has_seen_enough(index: Path, option: str) -> None:
    command = [sys.executable, "-m", "imtext", "search", "red", option, "--index", str(index), "--min-relevance", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as search:
        assert search.stdout is not None
        assert search.stderr is not None
        search.stdout.close()
        assert search.stderr.read() == b""
    assert search.returncode == -signal.SIGPIPE


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["search", "red", "--index", "nowhere"], "There is no index in nowhere. Make one with: imtext index"),
        (["search"], "Say what to look for"),
        (["index", "--index", "made", "--bundle", "nowhere"], "nowhere is not a bundle"),
        (["rank", "red", "gone.jpg"], "There is no bundle below"),
        (["info", "nowhere"], "is not a bundle"),
        (["info"], "There is no index in"),
        (["rank", "--texts", "a dog", "a.png"], 'the picture comes first: imtext rank --texts a.png "a dog"'),
        (["serve", "here", "--index", "there"], "Name one index: either here or --index there"),
        (["serve", "-i", "there"], "There is no index in there"),
        (["check", "optim.lrr=1"], "there is no setting called optim.lrr. Did you mean optim.lr"),
    ],
)
def test_one_clear_line(args: list[str], message: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 0)
    done = subprocess.run(
        [sys.executable, "-m", "imtext", *args], capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, "IMTEXT_ROOT": str(tmp_path), "IMTEXT_INDEX": str(tmp_path / "none")},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_info_and_check(index: Path, bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.fingerprint in imtext("info", bundle.path).stdout
    told = imtext("info", index).stdout
    assert "pictures     12" in told
    assert "R@10" not in told  # nothing to say about i2t
    done = imtext("check", bundle.path, index, "optim.lr=1e-3")
    assert done.stdout.count("ok: ") == 3
    files = {name: bundle.read(name) for name in bundle.manifest["files"]}
    write_bundle(tmp_path / "wrong", files, {**bundle.manifest, "embed_dim": 33})
    done = imtext("check", tmp_path / "wrong")
    assert (done.returncode, "the manifest says 33" in done.stderr) == (2, True)


def test_without_a_path_it_is_the_default_index(index: Path, tmp_path: Path) -> None:
    assert "pictures     12" in imtext("info", IMTEXT_INDEX=str(index)).stdout
    assert imtext("check", IMTEXT_INDEX=str(index)).stdout == f"ok: index {index}, 12 pictures\n"
    assert imtext("check", IMTEXT_INDEX=str(tmp_path)).stdout == "ok: settings as they are\n"
    done = imtext("rank", "red", index.parent / "00.png", IMTEXT_INDEX=str(index), IMTEXT_ROOT=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, f"Model: {index / 'bundle'}\n")


@pytest.mark.parametrize("part", [slice(4096, 4096 + 32 * 4), slice(-32 * 4, None)])
def test_check_sees_a_torn_matrix(index: Path, tmp_path: Path, part: slice) -> None:
    copy = shutil.copytree(index, tmp_path / "index")
    content = bytearray((copy / "vectors.cache").read_bytes())
    content[part] = bytes(32 * 4)  # a vector, or the mean
    (copy / "vectors.cache").write_bytes(content)
    done = imtext("check", copy)
    assert done.returncode == 2
    assert "vectors.cache does not agree with the rows. Delete that file" in done.stderr
    (copy / "vectors.cache").unlink()
    assert imtext("check", copy).returncode == 0


def test_rank(index: Path, bundle: Bundle) -> None:
    pictures = sorted(index.parent.glob("*.png"))[:3]
    done = imtext("rank", "red", *pictures, "--bundle", bundle.path, "--json")
    assert sorted(row["path"] for row in json.loads(done.stdout)) == [str(path) for path in pictures]
    done = imtext("rank", "--texts", pictures[0], "red", "blue", "--bundle", bundle.path)
    assert len(done.stdout.splitlines()) == 2


def test_the_default_model_is_named(index: Path, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to(bundle.path.parent)
    said = f"Model: {tmp_path / 'runs' / 'bundle'}\n"
    photo = index.parent / "00.png"
    made = tmp_path / "index"
    for args in (("index", photo, "--index", made), ("rank", "red", photo), ("demo", tmp_path / "demo")):
        assert said in imtext(*args, IMTEXT_ROOT=str(tmp_path)).stderr
    assert "Model" not in imtext("index", "--index", made, IMTEXT_ROOT=str(tmp_path)).stderr, "it has its own"
    assert "Model" not in imtext("rank", "red", photo, "--bundle", bundle.path, IMTEXT_ROOT=str(tmp_path)).stderr


def test_useless_sources_are_not_remembered(index: Path, tmp_path: Path) -> None:
    copy, empty = shutil.copytree(index, tmp_path / "index"), tmp_path / "empty"
    empty.mkdir()
    done = imtext("index", empty, "--index", copy)
    assert (done.returncode, done.stderr.strip()) == (0, f"no pictures in {empty}")
    assert str(empty) not in imtext("info", copy).stdout


def test_what_is_left_out_is_no_flood(index: Path, tmp_path: Path) -> None:
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
    said = imtext("index", "--index", copy).stderr.strip().splitlines()
    assert len(said) == 11
    assert said[0].startswith(f"left out: {gone}: not there any more")
    assert said[-1] == "left out: … and 3 more (imtext index --status names all)"
    assert imtext("index", "--status", "--index", copy).stdout.count("left out: ") == 13


def test_status_changes_nothing(index: Path) -> None:
    added = picture(index.parent / "late.png", 77)
    told = imtext("index", "--status", "--index", index).stdout
    added.unlink()
    assert f"new: {added} (not in the index)" in told
    assert "1 new, 0 changed, 0 gone, 12 unchanged" in told
    assert len(Index(index)) == 12


def test_status_says_what_cannot_be_seen(index: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(index, tmp_path / "index")
    (tmp_path / "more").mkdir()
    picture(tmp_path / "more" / "a.png", 50)
    assert imtext("index", tmp_path / "more", "--index", copy).returncode == 0
    (tmp_path / "more" / "a.png").unlink()
    (tmp_path / "more").rmdir()
    told = imtext("index", "--status", "--index", copy).stdout
    assert f"left out: {tmp_path / 'more'}: not there any more; --allow-empty forgets it" in told
    assert "0 new, 0 changed, 0 gone" in told


def test_status_before_the_first_time(index: Path, tmp_path: Path) -> None:
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nothing")
    added = picture(tmp_path / "a.png", 50)
    told = imtext("index", tmp_path, "--status", "--index", tmp_path / "index").stdout
    assert f"new: {added} (not in the index)" in told
    assert f"left out: {tmp_path / 'dangling.png'}: No such file or directory" in told
    assert "There is no index in" in told
    assert "1 new" in told
    assert not (tmp_path / "index").exists()
    assert "There is no index in" in imtext("index", "--status", "--index", tmp_path / "index").stderr


def test_help_and_version() -> None:
    assert imtext("--version").stdout.startswith("imtext 0.")
    for verb in ("index", "search", "rank", "export", "check", "info", "demo"):
        assert imtext(verb, "--help").returncode == 0


@pytest.mark.parametrize(
    ("happens", "code", "said"),
    [
        ("KeyboardInterrupt", 130, "Stopped; what was committed is kept."),
        ("OSError(28, 'No space left on device')", 2, "error: [Errno 28] No space left on device"),
        ("sqlite3.OperationalError('disk I/O error')", 2, "error: disk I/O error"),
    ],
)
def test_indexing_that_cannot_go_on(index: Path, tmp_path: Path, happens: str, code: int, said: str) -> None:
    picture(tmp_path / "new.png", 99)
    program = (
        "import sqlite3, sys, imtext.search.index.sync\n"
        f"def fail(*_): raise {happens}\n"
        "imtext.search.index.sync.apply = fail\n"
        "from imtext.cli.main import main; main()"
    )
    command = [sys.executable, "-c", program, "index", str(tmp_path), "--index", str(index)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (code, said)


def test_full_disk(index: Path, tmp_path: Path) -> None:
    for number in range(100):
        Image.new("RGB", (32, 32), (2 * number, 0, 0)).save(tmp_path / f"{number}.png")
    program = (
        "from imtext.search.store.sqlite import SQLiteStore\n"
        "commit = SQLiteStore.commit\n"
        "def limited(self, *args, **options):\n"
        "    self._db.execute('PRAGMA max_page_count = 1')  # no page more than there are\n"
        "    commit(self, *args, **options)\n"
        "SQLiteStore.commit = limited\n"
        "from imtext.cli.main import main; main()"
    )
    copy = shutil.copytree(index, tmp_path / "index")
    command = [sys.executable, "-c", program, "index", str(tmp_path), "--index", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (2, "error: database or disk is full")
    assert len(Index(copy)) == 12
