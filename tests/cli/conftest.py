"""The `imtext` command inside the test process, and an index to use it on."""

from __future__ import annotations

import io
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

from imtext.cli.main import main
from imtext.search import Bundle
from tests.conftest import picture


@dataclass(frozen=True)
class Finished:
    """Exit code and output of a command."""

    returncode: int
    stdout: str
    stderr: str


def imtext(*args: str | Path, stdin: str = "", **environment: str) -> Finished:
    """Run the command as a shell would, without the seconds that a process takes to start."""
    streams = [io.TextIOWrapper(io.BytesIO(content), encoding="utf-8") for content in (stdin.encode(), b"", b"")]
    sigpipe = signal.getsignal(signal.SIGPIPE)
    code = 0
    with (
        patch.dict(os.environ, {"TERM": "dumb", **environment}),
        patch.multiple(sys, argv=["imtext", *map(str, args)], stdin=streams[0], stdout=streams[1], stderr=streams[2]),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            signal.signal(signal.SIGPIPE, sigpipe)
    printed = []
    for stream in streams[1:]:
        stream.flush()
        stream.seek(0)
        printed.append(stream.read())
    return Finished(code, *printed)


@pytest.fixture(scope="module")
def index(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn pictures `00.png` … `11.png`, and their index in a neighbouring folder."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(12):
        picture(folder / f"{number:02}.png", number)
    made = imtext("index", folder, "--index", folder / "index", "--bundle", bundle.path)
    assert made.returncode == 0, made.stderr
    assert "12 added in" in made.stdout
    return folder / "index"


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 25 drawn pictures with two captions each."""
    folder = tmp_path_factory.mktemp("captions")
    rows = ["image,caption"]
    for number in range(25):
        picture(folder / f"{number}.png", number)
        rows += [f"{number}.png,picture {number}", f"{number}.png,a drawing of {number} shapes"]
    (folder / "captions.csv").write_text("\n".join(rows))
    return folder / "captions.csv"
