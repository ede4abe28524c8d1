from __future__ import annotations

from pathlib import Path

from imtext.search import Bundle
from tests.cli.conftest import imtext


def test_demo(bundle: Bundle, tmp_path: Path) -> None:
    done = imtext("demo", tmp_path / "demo", "--bundle", bundle.path, "--pictures", "6")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("6 drawn pictures indexed in ")
    assert done.stdout.count("\n# ") == 3
    assert len(list((tmp_path / "demo" / "pictures").iterdir())) == 6
    assert (tmp_path / "demo" / "results.html").is_file()
    again = imtext("demo", tmp_path / "demo", "--bundle", bundle.path, "--pictures", "6")
    assert again.returncode == 0, again.stderr
    search = imtext("search", "--index", tmp_path / "demo" / "index", "red", "--min-relevance", "0", "-p")
    assert len(search.stdout.splitlines()) == 6
