from __future__ import annotations

import json
import shutil
from pathlib import Path

from imtext.search import Bundle
from tests.cli.conftest import imtext
from tests.search.photos import scene


def test_groups_of_copies(bundle: Bundle, tmp_path: Path) -> None:
    folder, index = tmp_path / "album", tmp_path / "index"
    folder.mkdir()
    for number in range(3):
        scene(number).save(folder / f"{number}.png")
    imtext("index", folder, "--index", index, "--bundle", bundle.path)
    none = imtext("duplicates", "--index", index)
    assert (none.returncode, none.stdout) == (1, "No duplicates.\n")
    scene(0).resize((160, 120)).save(folder / "small.jpg")
    shutil.copy(folder / "1.png", folder / "1 copy.png")
    imtext("index", "--index", index)
    groups = json.loads(imtext("duplicates", "--index", index, "--json").stdout)
    assert [[Path(one["path"]).name for one in group] for group in groups] == [["1 copy.png"], ["0.png", "small.jpg"]]
    assert groups[0][0]["copies"] == [str(folder / "1.png")]
    assert [(one["width"], one["height"]) for one in groups[1]] == [(320, 240), (160, 120)]
    printed = imtext("duplicates", "--index", index).stdout.splitlines()
    assert [line.split()[0] for line in printed if line][:4] == ["320×240", "equal", "320×240", "160×120"]
    assert printed[-1].startswith("2 groups of 4 files. All but the first of each take ")


def test_results_fold_unless_they_should_not(bundle: Bundle, tmp_path: Path) -> None:
    folder, index = tmp_path / "album", tmp_path / "index"
    folder.mkdir()
    scene(0).save(folder / "large.png")
    scene(0).resize((160, 120)).save(folder / "small.png")
    imtext("index", folder, "--index", index, "--bundle", bundle.path)
    every = ("search", "red", "--index", index, "--min-relevance", "0")
    (line,) = imtext(*every).stdout.splitlines()
    assert "  (+1 near duplicate)" in line
    assert [row["near_duplicates"] for row in json.loads(imtext(*every, "--json").stdout)] == [1]
    assert len(imtext(*every, "--no-fold").stdout.splitlines()) == 2
