"""`imtext mcp`; the protocol itself is tested in tests/search/agents."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import imtext


def test_http_announces_the_address(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: list[Any] = []

    def serve_http(folder: Path, *args: Any) -> None:
        settings.extend([folder, *args[:-1]])
        args[-1]("http://127.0.0.1:8001/mcp", 1234)

    monkeypatch.setattr("imtext.search.agents.serve_http", serve_http)
    done = imtext("mcp", "--index", index, "--http", "--name", "example.org", IMTEXT_TOKEN="open-sesame")
    assert done.stdout == "1,234 pictures for agents at http://127.0.0.1:8001/mcp. Ctrl-C stops.\n"
    assert settings == [index, "127.0.0.1", 8001, "open-sesame", False, ["example.org"]]


def test_standard_input_is_the_default(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Path] = []
    monkeypatch.setattr("imtext.search.agents.serve_stdio", served.append)
    done = imtext("mcp", IMTEXT_INDEX=str(index))
    assert (done.stdout, served) == ("", [index]), "standard output belongs to the protocol"


def test_a_missing_package_is_named(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("imtext.search.agents")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)
    done = imtext("mcp", "--index", index)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert 'pip install "imtext[mcp]"' in done.stderr
