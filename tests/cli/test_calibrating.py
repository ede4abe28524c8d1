"""`imtext calibrate`."""

from __future__ import annotations

import shutil
from pathlib import Path

from imtext.search import Bundle, load_bundle
from imtext.training.checkpoints import TrainedModel
from tests.cli.conftest import imtext
from tests.exported import Exported


def test_a_bundle_and_an_index(immich: Exported, captions: Path, index: Path, tmp_path: Path) -> None:
    made, own = tmp_path / "made", tmp_path / "index"
    imtext("bundle", immich.folder, "-o", made)
    imtext("index", index.parent / "*.png", "--index", own, "--bundle", made)
    done = imtext("calibrate", made, "--data", captions)
    assert done.returncode == 0, done.stderr
    assert "25 pictures, 50 captions; R@10" in done.stdout
    assert "An index keeps its own copy" in done.stdout
    assert load_bundle(made).calibration is not None
    assert load_bundle(own / "bundle").calibration is None
    done = imtext("calibrate", "--data", captions, "--index", own)
    assert done.stdout.startswith(f"Calibrated: {own / 'bundle'}\n")
    assert load_bundle(own / "bundle").calibration == load_bundle(made).calibration
    assert " %  " in imtext("search", "red", "--index", own, "--min-relevance", "0").stdout
    assert imtext("check", own).stdout.startswith("ok: index")


def test_errors(bundle: Bundle, captions: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    few.write_text("\n".join(captions.read_text().splitlines()[:5]))
    own = shutil.copytree(bundle.path, tmp_path / "bundle")
    done = imtext("calibrate", own, "--data", few, "--image-root", captions.parent)
    assert "2 pictures with captions are too few to calibrate; 20 are needed" in done.stderr
    done = imtext("calibrate", "--data", captions, IMTEXT_INDEX=str(tmp_path / "none"))
    assert "Name the bundle: imtext calibrate <bundle> --data" in done.stderr
    assert "Traceback" not in imtext("calibrate", own, "--data", few).stderr


def test_both_looks_are_calibrated(reranked: tuple[TrainedModel, Bundle], captions: Path, tmp_path: Path) -> None:
    own = shutil.copytree(reranked[1].path, tmp_path / "bundle")
    done = imtext("calibrate", own, "--data", captions)
    assert done.returncode == 0, done.stderr
    before, after = reranked[1], load_bundle(own)
    assert before.reranker is not None
    assert after.reranker is not None
    assert after.reranker.calibration is not None
    assert after.calibration not in (None, before.calibration, after.reranker.calibration)
    assert after.reranker.calibration != before.reranker.calibration
    assert f"shown from {100 * after.reranker.calibration.min_relevance:.0f} % on" in done.stdout
