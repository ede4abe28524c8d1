from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from imtext.search import Bundle
from imtext.search.store import matrix
from imtext.search.store.short import candidates
from imtext.training.checkpoints import TrainedModel
from tests.cli.conftest import imtext


def test_search_json(index: Path) -> None:
    done = imtext("search", "a red circle", "--index", index, "--json", "--top-k", "3", "--min-relevance", "0")
    rows = json.loads(done.stdout)
    assert [list(row) for row in rows] == [
        ["path", "score", "relevance", "found_by", "copies", "date", "date_from", "place", "near_duplicates"]
    ] * 3
    assert rows[0]["score"] >= rows[1]["score"]


def test_approximate(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gallery so small has all of its pictures among the candidates, so the results are the same."""
    index = Path(shutil.copytree(index, tmp_path / "index"))
    (index / "vectors.cache").unlink(missing_ok=True)  # written again, with short vectors
    compared = MagicMock(side_effect=candidates)
    monkeypatch.setattr(matrix, "FEW", 0)  # otherwise a small gallery is always searched exactly
    exact = imtext("search", "a red circle", "--index", index, "--min-relevance", "0")
    monkeypatch.setattr(matrix, "candidates", compared)
    done = imtext("search", "a red circle", "--index", index, "--min-relevance", "0", "--approximate")
    assert (compared.call_count, done.stdout) == (1, exact.stdout)


def test_search_from_the_environment_for_pipes(index: Path) -> None:
    done = imtext("search", index.parent / "03.png", "--paths-only", "-k", "2", IMTEXT_INDEX=str(index))
    assert done.stdout.splitlines()[0] == str(index.parent / "03.png")
    done = imtext("search", index.parent / "03.png", "-p", "-0", "-k", "1", IMTEXT_INDEX=str(index))
    assert done.stdout == f"{index.parent / '03.png'}\0"


def test_several_queries(index: Path, tmp_path: Path) -> None:
    every = ("--index", index, "--min-relevance", "0")
    done = imtext("search", "--queries", "-", "--json", *every, stdin="red\n\nblue\n")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["query"] for row in rows] == ["red", "blue"]
    assert len(rows[0]["results"]) == 10
    (tmp_path / "queries.txt").write_text("red\nblue\n")
    printed = imtext("search", "--queries", tmp_path / "queries.txt", *every).stdout.splitlines()
    assert (printed[0], printed[11]) == ("# red", "# blue")


def test_a_file_name(index: Path) -> None:
    every = ("--min-relevance", "1", "--index", index)
    (row,) = json.loads(imtext("search", "07", "--json", *every).stdout)
    assert (Path(row["path"]).name, row["relevance"], row["found_by"]) == ("07.png", None, ["file name"])
    assert imtext("search", "07", *every).stdout.endswith("07.png  [file name]\n")
    assert imtext("search", "07", "--no-words", *every).stdout.startswith("No good match")


def test_no_good_match(index: Path) -> None:
    done = imtext("search", "zebra", "--index", index, "--min-relevance", "1")
    assert done.returncode == 1
    assert "No good match. --min-relevance 0 shows the nearest anyway." in done.stdout
    assert "not in the model's vocabulary: zebra" in done.stderr


def test_words_beyond_the_maximum_length_are_named(index: Path) -> None:
    words = "a red circle above a blue star " * 40
    done = imtext("search", words + "ring", "--index", index, "--min-relevance", "0")
    (note,) = done.stderr.splitlines()
    assert note.startswith("note: The query is too long for the model (")
    assert note.endswith(" ring")


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


def test_a_query_may_begin_with_a_sign(index: Path) -> None:
    done = imtext("search", "- red", "-p", "--index", index, "--min-relevance", "0")
    assert done.returncode == 0, done.stderr
    assert "No such option: --jsno" in imtext("search", "red", "--jsno", "--index", index).stderr


@pytest.mark.parametrize("option", ["--paths-only", "--json", "--top-k=5"])
def test_a_reader_that_closes_the_pipe(index: Path, option: str) -> None:
    command = [sys.executable, "-m", "imtext", "search", "red", option, "--index", str(index), "--min-relevance", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as search:
        assert search.stdout is not None
        assert search.stderr is not None
        search.stdout.close()
        assert search.stderr.read() == b""
    assert search.returncode == -signal.SIGPIPE


def test_rank(index: Path, bundle: Bundle) -> None:
    pictures = sorted(index.parent.glob("*.png"))[:3]
    done = imtext("rank", "red", *pictures, "--bundle", bundle.path, "--json")
    assert sorted(row["path"] for row in json.loads(done.stdout)) == [str(path) for path in pictures]
    done = imtext("rank", "--texts", pictures[0], "red", "blue", "--bundle", bundle.path)
    assert len(done.stdout.splitlines()) == 2
    done = imtext("rank", "--texts", pictures[0], "red", "blue", "--bundle", bundle.path, "--json", "-k", "1")
    assert [sorted(row) for row in json.loads(done.stdout)] == [["relevance", "score", "text"]]
    done = imtext("rank", "a red zebra", *pictures, "--bundle", bundle.path)
    assert done.stderr == "note: Words not in the model's vocabulary: zebra\n"


def test_a_second_look(reranked: tuple[TrainedModel, Bundle], index: Path, tmp_path: Path) -> None:
    own, words = tmp_path / "index", "a red circle to the left of a big blue star"
    done = imtext("index", index.parent / "*.png", "--index", own, "--bundle", reranked[1].path)
    assert "Stored for the re-ranker: " in done.stdout
    assert "--rebuild --no-grids" in done.stdout
    search = ("search", words, "--index", own, "--paths-only", "--min-relevance", "0", "-k", "12")
    again, off = (imtext(*search, *more).stdout.splitlines() for more in ((), ("--rerank-top-k", "0")))
    assert sorted(again) == sorted(off)
    assert again != off
    assert imtext(*search, "--rerank-top-k", "12").stdout.splitlines() == again
    done = imtext("index", "--index", own, "--rebuild", "--no-grids")
    assert "Nothing is stored for the re-ranker: each search reads up to 50 files" in done.stdout
    assert imtext(*search).stdout.splitlines() == again
    assert "grids        not stored" in imtext("info", own).stdout
    assert imtext("check", own).returncode == 0
    info = imtext("info", reranked[1].path).stdout
    assert "re-ranker    scores the best 50 again, by " in info


def test_a_second_look_that_is_not_possible(index: Path) -> None:
    done = imtext("search", "red", "--index", index, "--rerank-top-k", "5")
    assert done.returncode == 2
    assert "has no re-ranker, so rerank_top_k must be 0. To train one: python -m imtext.rerank" in done.stderr
    assert imtext("search", "red", "--index", index, "--rerank-top-k", "0", "--min-relevance", "0").returncode == 0
    first, own = index.parent / "00.png", index / "bundle"
    done = imtext("rank", "--texts", first, "red", "--bundle", own, "--rerank-top-k", "5")
    assert "it does not go with --texts" in done.stderr
