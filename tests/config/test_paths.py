"""Configuration files are found in a clone and in an installed package."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from imtext.config.paths import CONFIG_DIR


def test_the_configurations_are_there() -> None:
    assert (CONFIG_DIR / "train.yaml").is_file()


@pytest.mark.slow
def test_an_installed_package_finds_its_configs(tmp_path: Path) -> None:
    """The wheel contains conf/, and uses it if there is no clone."""
    project = CONFIG_DIR.parent
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, cwd=project)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    program = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); from imtext.config import paths"
    program += "; print(paths.CONFIG_DIR)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    installed = Path(shown.stdout.strip())
    assert installed == tmp_path / "site" / "imtext" / "conf"
    files = {str(path.relative_to(installed)) for path in installed.rglob("*.yaml")}
    assert files == {str(path.relative_to(CONFIG_DIR)) for path in CONFIG_DIR.rglob("*.yaml")}
