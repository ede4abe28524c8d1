from __future__ import annotations

import subprocess
import sys

from imtext import __version__


def test_the_package_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "imtext", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"imtext {__version__}\n"
