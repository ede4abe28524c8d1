"""From a training to two servers with the same answers: train, register, promote, index, serve, compare.

``python scripts/champion.py experiment=quickstart`` runs all steps. Arguments are those of `imtext.train`.
Everything is written below `runs/`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from imtext.search import runs_dir
from imtext.training.registry import tracking_uri

CHAMPION = "models:/imtext@champion"
QUERIES = ["two green triangles", "a red circle", "a large blue square"]
TOP_K = 5
WAIT_SECONDS = 120


def main() -> None:
    """Run all steps; stop at the first that fails."""
    folder = runs_dir() / "champion"
    index = str(folder.absolute() / "index")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow starts uvicorn by its name
    environment = {**os.environ, "PATH": programs, "IMTEXT_INDEX": index, "MLFLOW_TRACKING_URI": tracking_uri()}
    run("imtext.train", "registered_model=imtext", *sys.argv[1:], environment=environment)
    run("imtext", "promote", "latest", environment=environment)
    run("imtext", "demo", str(folder), "--bundle", CHAMPION, environment=environment)
    ours = ["imtext", "serve", "--port", "{port}"]
    theirs = ["mlflow", "models", "serve", "-m", CHAMPION, "--env-manager", "local", "--port", "{port}"]
    with serving(ours, "/ready", environment) as own, serving(theirs, "/ping", environment) as mlflow:
        for query in QUERIES:
            first, second = ask_imtext(own, query), ask_mlflow(mlflow, query)
            if first != second:
                raise SystemExit(f"{query}: imtext serve answers {first}, mlflow models serve {second}")
            print(f"{query}: both servers find the same {len(first)} pictures, with the same scores")


def run(module: str, *arguments: str, environment: dict[str, str]) -> None:
    """Run one step in a process of its own, as a user would."""
    print(f"\n$ {module} {' '.join(arguments)}", flush=True)
    subprocess.run([sys.executable, "-m", module, *arguments], env=environment, check=True)


@contextmanager
def serving(command: list[str], ready: str, environment: dict[str, str]) -> Iterator[str]:
    """Run a server on a free port; gives its address when it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    module, *arguments = [part.format(port=port) for part in command]
    print(f"\n$ {module} {' '.join(arguments)}", flush=True)
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], env=environment, start_new_session=True)
    address, limit = f"http://127.0.0.1:{port}", time.monotonic() + WAIT_SECONDS
    try:
        while not answers(address + ready):
            if process.poll() is not None or time.monotonic() > limit:
                raise SystemExit(f"{module} did not start")
            time.sleep(0.2)
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 15)  # with the processes that it started
        process.wait()


def answers(url: str) -> bool:
    """Whether a server answers with success."""
    try:
        with urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def ask_imtext(server: str, query: str) -> list[tuple[str, float]]:
    """Ids and scores of the results of `imtext serve`."""
    with urlopen(f"{server}/search?q={quote(query)}&top_k={TOP_K}", timeout=60) as response:
        return shortened(json.load(response)["results"])


def ask_mlflow(server: str, query: str) -> list[tuple[str, float]]:
    """Ids and scores of the results of `mlflow models serve`."""
    asked = {"dataframe_split": {"columns": ["query"], "data": [[query]]}, "params": {"top_k": TOP_K}}
    request = Request(f"{server}/invocations", json.dumps(asked).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as response:
        return shortened(json.load(response)["predictions"])


def shortened(results: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Id, and score to five digits, which threads of another number may change."""
    return [(result["id"], round(result["score"], 5)) for result in results]


if __name__ == "__main__":
    main()
