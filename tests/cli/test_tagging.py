"""`imtext tag`."""

from __future__ import annotations

import json
from pathlib import Path

from imtext.search import Bundle
from tests.cli.conftest import imtext


def test_tags(index: Path, bundle: Bundle, tmp_path: Path) -> None:
    photos = [index.parent / "00.png", index.parent / "01.png"]
    plain = imtext("tag", *photos, "--labels", "red, blue,ring,star", "--bundle", bundle.path, "--top-k", "2")
    assert plain.returncode == 0, plain.stderr
    lines = plain.stdout.splitlines()
    assert [lines[0], lines[3]] == [str(photo) for photo in photos]
    assert "%" in lines[1]
    (tmp_path / "labels.txt").write_text("red\nblue\n\nring\nstar\n")
    file = ("--labels-file", tmp_path / "labels.txt")
    rows = json.loads(imtext("tag", *photos, *file, "--bundle", bundle.path, "--json", "-k", "4").stdout)
    assert [row["path"] for row in rows] == [str(photo) for photo in photos]
    assert {tag["label"] for tag in rows[0]["tags"]} == {"red", "blue", "ring", "star"}
    assert [tag["label"] for tag in rows[0]["tags"]][:2] == [line.split()[-1] for line in lines[1:3]]


def test_templates(index: Path, bundle: Bundle) -> None:
    command = ("tag", index.parent / "00.png", "--labels", "red", "--bundle", bundle.path, "--json")
    one = imtext(*command, "--template", "two {} rings").stdout
    assert one != imtext(*command).stdout != imtext(*command, "--template", "{}", "--template", "a {} dot").stdout
    assert "has no {} for the label" in imtext(*command, "--template", "red").stderr


def test_errors(index: Path, bundle: Bundle) -> None:
    photo = index.parent / "00.png"
    assert "cannot be read" in imtext("tag", photo, "--labels-file", "nothing", "--bundle", bundle.path).stderr
    assert "gone.png cannot be read" in imtext("tag", "gone.png", "--labels", "a", "--bundle", bundle.path).stderr
