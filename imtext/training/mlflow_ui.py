"""MLflow's web interface, opened in its view for model training: ``mlflow ui --app-name imtext``.

MLflow 3 has two views, for GenAI and for model training. Its interface opens in the GenAI view, which lists training
runs under "Evaluation runs", whatever the kind of the experiment. The browser stores the choice of view. The script
below makes that choice in browsers that have no stored choice.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from mlflow.server import app as flask_app
from mlflow.server.fastapi_app import create_fastapi_app
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

VIEW, MODEL_TRAINING = "mlflow.workflowType_v1", "machine_learning"
SCRIPT = f"""<script>localStorage.getItem("{VIEW}") ?? localStorage.setItem("{VIEW}", '"{MODEL_TRAINING}"')</script>"""


def create_app() -> FastAPI:
    """MLflow's own application, with the script in its page."""
    app: FastAPI = create_fastapi_app()
    app.router.routes.insert(0, Route("/", first_page))  # before MLflow's own route
    return app


def first_page(request: Request) -> HTMLResponse:
    """MLflow's page, with the script before its own."""
    page = (Path(flask_app.static_folder) / "index.html").read_text()
    return HTMLResponse(page.replace("<head>", "<head>" + SCRIPT, 1), headers={"Cache-Control": "no-cache"})
