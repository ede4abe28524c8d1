from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imtext.search import Bundle
from tests.cli.conftest import imtext


def test_serve_announces_the_address(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    settings: list[Any] = []

    def serve(folder: Path, *args: Any) -> None:
        settings.extend([folder, *args[:-1]])
        args[-1]("http://127.0.0.1:8000", 1234)

    monkeypatch.setattr("imtext.search.server.serve", serve)
    monkeypatch.setattr("webbrowser.open", opened.append)
    done = imtext("serve", index, "--open", "--token", "secret", "--name", "example.org", "--log", "json")
    assert done.stdout.startswith("1,234 pictures at http://127.0.0.1:8000 (API: http://127.0.0.1:8000/docs).")
    assert opened == ["http://127.0.0.1:8000/?token=secret"]
    assert settings == [index, "127.0.0.1", 8000, "secret", False, [], ["example.org"], "", False, True]
    imtext("serve", "--index", index, "--open", "--port", "0", IMTEXT_TOKEN="")
    assert opened[1] == "http://127.0.0.1:8000"
    imtext("serve", index, "--approximate")
    assert settings[-2:] == [True, False]


def test_a_model_needs_a_store(index: Path, bundle: Bundle) -> None:
    done = imtext("serve", index, "--bundle", bundle.path)
    assert (done.returncode, done.stderr) == (
        2, "error: --bundle needs --store: an index in a folder is served with its own model\n",
    )  # fmt: skip
    done = imtext("serve", index, "--bundle", bundle.path, "--store", f"sqlite:///{index}/index.sqlite")
    assert "does not record its model" in done.stderr
