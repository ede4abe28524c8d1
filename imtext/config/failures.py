"""Failed trials of a multirun. Each leaves a file in its folder, because it may have run in another process."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

FAILED = "failed.txt"  # in the folder of a trial: why it has failed
_found: dict[Path, str] = {}  # overrides, or the name of the folder, of each that this process knows of


def forget(folder: Path) -> None:
    """Begin a trial: what an earlier one in its folder has left no longer holds."""
    (folder / FAILED).unlink(missing_ok=True)
    _found.pop(folder.absolute(), None)


def leave(folder: Path, why: str) -> None:
    """Keep why the trial of this folder has failed."""
    (folder / FAILED).write_text(why, encoding="utf-8")
    _found[folder.absolute()] = _name(folder)


def collect(sweep: Path) -> None:
    """Find what trials in other processes have left below the folder of a sweep."""
    _found.update({file.parent: _name(file.parent) for file in sorted(sweep.absolute().rglob(FAILED))})


def take() -> list[str]:
    """The names of the failed trials; afterwards none are known."""
    names = list(_found.values())
    _found.clear()
    return names


def _name(folder: Path) -> str:
    given = folder / ".hydra" / "overrides.yaml"
    return " ".join(map(str, OmegaConf.load(given))) if given.is_file() else folder.name
