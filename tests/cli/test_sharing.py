"""`imtext card`, `imtext push` and `imtext pull`."""

from __future__ import annotations

import json
from pathlib import Path

from imtext.search import Bundle
from tests.cli.conftest import imtext
from tests.conftest import changed_bundle
from tests.hub import Hub


def test_card(bundle: Bundle, tmp_path: Path) -> None:
    printed = imtext("card", bundle.path, "--license", "mit")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout.startswith("---\nlicense: mit\n")
    imtext("card", bundle.path, "-o", tmp_path / "README.md", "--license", "mit")
    assert (tmp_path / "README.md").read_text() == printed.stdout


def test_the_same_search_after_push_and_pull(hub: Hub, bundle: Bundle, index: Path, tmp_path: Path) -> None:
    pushed = imtext("push", bundle.path, "anna/photos", "--private", "--license", "mit")
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.startswith("Uploaded: http://127.0.0.1:")
    assert pushed.stdout.endswith("/anna/photos\nTo use it: imtext index ~/Pictures --bundle hf://anna/photos\n")
    assert hub.repositories["anna/photos"].private
    assert b"imtext pull anna/photos -o photos" in hub.files("anna/photos")["README.md"]
    pulled = imtext("pull", "anna/photos", "-o", tmp_path / "pulled")
    assert (pulled.returncode, pulled.stdout) == (0, f"Bundle: {tmp_path / 'pulled'}\n")
    ask = ("search", "a red circle", "--min-relevance", "0", "--json", "-i")
    expected = json.loads(imtext(*ask, index).stdout)
    assert len(expected) == 10
    for named in (tmp_path / "pulled", "hf://anna/photos"):
        made = imtext("index", index.parent / "*.png", "-i", tmp_path / "index", "--rebuild", "--bundle", named)
        assert "12 added" in made.stdout, made.stderr
        assert json.loads(imtext(*ask, tmp_path / "index").stdout) == expected


def test_where_a_pulled_bundle_goes(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    imtext("push", bundle.path, "anna/photos")
    folder = tmp_path / "data" / "imtext" / "bundles" / "anna--photos"
    assert imtext("pull", "anna/photos").stdout == f"Bundle: {folder}\n"
    hub.log.clear()
    assert bundle.fingerprint in imtext("info", folder).stdout
    assert imtext("card", "hf://anna/photos").returncode == 0
    assert hub.log == []


def test_folders_of_this_machine_are_named_before_they_are_public(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    tags = {"data_source": "/home/anna/flickr8k", "command": "train.py data.path=~/x", "note": "a/b", "git_dirty": "no"}
    changed = changed_bundle(bundle, tmp_path / "tagged", tags=tags)
    told = "note: readers of anna/photos see folders of this machine in its manifest: data_source, command\n"
    assert told in imtext("push", changed.path, "anna/photos").stderr  # before the progress of the upload
    assert "note:" not in imtext("push", bundle.path, "anna/other").stderr


def test_one_line_for_an_error(hub: Hub, bundle: Bundle) -> None:
    done = imtext("push", bundle.path, "photos")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: A name on the hub is USER/NAME")
