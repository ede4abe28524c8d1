"""Calibrating a bundle on pairs, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from imtext.errors import DataError
from imtext.evaluation import recalibrate
from imtext.evaluation.recalibrate import calibrate, read_pairs
from imtext.search import Encoder
from tests.conftest import picture


@pytest.fixture
def pictures_25(tmp_path: Path) -> Path:
    for number in range(25):
        picture(tmp_path / f"{number}.png", number)
    return tmp_path


def test_without_torch() -> None:
    program = "import sys, imtext.evaluation.calibration, imtext.evaluation.recalibrate; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_tables(pictures_25: Path, suffix: str) -> None:
    rows = [("0.png", "zero"), ("1.png", "one"), ("0.png", "nothing"), ("2.png", " ")]
    mark = "\t" if suffix == "tsv" else ","
    lines = [mark.join(("image", "caption")), *(mark.join(row) for row in rows)]
    if suffix == "jsonl":
        lines = [json.dumps({"image": name, "caption": text}) for name, text in rows]
    table = pictures_25 / f"pairs.{suffix}"
    table.write_text("\n".join(lines))
    expected = {pictures_25 / "0.png": ["zero", "nothing"], pictures_25 / "1.png": ["one"]}
    assert read_pairs(table) == expected
    moved = pictures_25 / "elsewhere"
    moved.mkdir()
    assert read_pairs(table.rename(moved / table.name), pictures_25) == expected


def test_refused(encoder: Encoder, pictures_25: Path) -> None:
    table = pictures_25 / "pairs.csv"
    with pytest.raises(DataError, match="There is no file"):
        read_pairs(table)
    table.write_text("picture,words\n0.png,zero")
    with pytest.raises(DataError, match="has the columns picture, words; it needs image and caption"):
        read_pairs(table)
    table.write_text("image,caption\n0.png,zero\n99.png,gone")
    with pytest.raises(DataError, match=r"1 of 2 pictures .* do not exist below .*: 99\.png\. .*--image-root"):
        read_pairs(table)
    with pytest.raises(DataError, match="2 pictures with captions are too few to calibrate; 20 are needed"):
        calibrate(encoder, {pictures_25 / "0.png": ["a"], pictures_25 / "1.png": ["b"]})
    (pictures_25 / "3.png").write_text("broken")
    with pytest.raises(DataError, match=r"3\.png cannot be read: not a picture"):
        calibrate(encoder, {pictures_25 / f"{number}.png": ["a"] for number in range(25)})


def test_calibration(encoder: Encoder, pictures_25: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = {pictures_25 / f"{number}.png": [f"{number} circles", "a star"] for number in range(25)}
    measured = calibrate(encoder, pairs)
    assert (measured.pictures, measured.captions) == (25, 50)
    assert 0 <= measured.recall <= 1
    assert 0 < measured.calibration.min_relevance < 1
    assert calibrate(encoder, pairs) == measured, "the same again"
    monkeypatch.setattr(recalibrate, "MAX_PICTURES", 21)
    monkeypatch.setattr(recalibrate, "MAX_CAPTIONS", 30)
    measured = calibrate(encoder, pairs)
    assert (measured.pictures, measured.captions) == (21, 30)
