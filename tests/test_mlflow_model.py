"""What MLflow serves equals what imtext serves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from imtext.errors import SearchError
from imtext.search import Bundle, Index, parse_query
from imtext.training.registry import register
from tests.conftest import TINY_SHAPES, changed_bundle

SCRIPT = Path(__file__).parents[1] / "scripts" / "champion.py"


def test_answers_are_those_of_the_index(
    bundle: Bundle, gallery: Path, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index.create(tmp_path / "index", bundle)
    index.update([str(gallery)])
    monkeypatch.setenv("IMTEXT_INDEX", str(tmp_path / "index"))
    monkeypatch.setenv("IMTEXT_ROOT", str(tmp_path))
    uri = register(bundle, "photos", None, database).uri
    mlflow.set_tracking_uri(database)
    model = mlflow.pyfunc.load_model(uri)
    queries = ["a red circle", "a star - a circle"]
    answer = model.predict(pd.DataFrame({"query": queries}), params={"top_k": 3})
    assert list(answer.columns) == [column.name for column in model.metadata.signature.outputs]
    expected = index.search_batch([parse_query(query) for query in queries], 3, None)
    assert answer["id"].tolist() == [one.id for results in expected for one in results]
    assert answer["score"].tolist() == pytest.approx([one.score for results in expected for one in results])
    of_a_file = model.predict(pd.DataFrame({"query": [str(gallery / "01.png")]}))
    assert (of_a_file["score"] < 0.999).all(), "the name of a file is only words"
    preprocess = {**bundle.manifest["preprocess"], "image_size": 40}
    Index.create(tmp_path / "other", changed_bundle(bundle, tmp_path / "changed", preprocess=preprocess))
    monkeypatch.setenv("IMTEXT_INDEX", str(tmp_path / "other"))
    with pytest.raises(SearchError, match=r"another model.*--rebuild"):
        mlflow.pyfunc.load_model(uri).predict(pd.DataFrame({"query": ["a star"]}))


@pytest.mark.slow
def test_two_servers_give_the_same_answers(tmp_path: Path) -> None:
    """The documented script, with a training of seconds."""
    options = [option for option in TINY_SHAPES if option != "bundle=false"]
    options += ["data.num_images=120", "trainer.max_epochs=2", "baseline=false", "callbacks.examples=null"]
    environment = os.environ | {"IMTEXT_ROOT": str(tmp_path), "IMTEXT_CACHE": str(tmp_path / "cache")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, str(SCRIPT), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.count("both servers find the same") == 3
    assert "models:/imtext@champion is version 1" in done.stdout
