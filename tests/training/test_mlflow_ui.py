"""MLflow's page chooses the view for model training, and everything else of MLflow is served as before."""

from __future__ import annotations

import pytest

from imtext.training.mlflow_ui import MODEL_TRAINING, SCRIPT, VIEW

testclient = pytest.importorskip("fastapi.testclient")


def test_the_page_has_the_script_and_mlflow_still_answers(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from imtext.training.mlflow_ui import create_app

    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", database)
    client = testclient.TestClient(create_app(), base_url="http://localhost")
    page = client.get("/").text
    assert page.index(SCRIPT) < page.index("main.")  # before MLflow's own script
    assert client.get("/health").text == "OK"


def test_mlflow_still_keeps_the_view_under_this_key() -> None:
    """If this fails after an update of MLflow, look in the browser's storage for the key of the view."""
    from pathlib import Path

    from mlflow.server import app

    scripts = Path(app.static_folder) / "static" / "js"
    code = next(scripts.glob("main.*.js")).read_text()
    key, _, version = VIEW.rpartition("_v")
    assert f'key:"{key}",version:{version}' in code
    assert f'"{MODEL_TRAINING}"' in code
