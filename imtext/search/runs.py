"""The folder of runs, and the newest bundle in it."""

from __future__ import annotations

import os
from pathlib import Path

from imtext.errors import BundleError
from imtext.search.manifest import MANIFEST
from imtext.search.pretrained.recommended import START
from imtext.search.store.location import store_exists


def runs_dir() -> Path:
    """The folder of all runs: `runs/` in `IMTEXT_ROOT`, or in the working directory."""
    return Path(os.environ.get("IMTEXT_ROOT") or ".").expanduser() / "runs"


def newest_bundle(folder: Path) -> Path:
    """The newest bundle of all runs.

    Args:
        folder: folder of runs; searched at any depth.

    Raises:
        BundleError: there is no bundle.
    """
    manifests = [path for path in folder.glob(f"**/{MANIFEST}") if _is_of_a_run(path.relative_to(folder), folder)]
    if not manifests:
        raise BundleError(
            f"There is no bundle below {folder.absolute()}. Take a ready model: --bundle {START} (imtext bundle --list "
            "names more); or train first (`make quickstart` takes two minutes), or name a folder with --bundle; from "
            "Python create_predictor(<folder>)"
        )
    return max(manifests, key=lambda path: path.stat().st_mtime).parent


def _is_of_a_run(manifest: Path, folder: Path) -> bool:
    """Whether a manifest belongs to a finished bundle of a run, and not to a copy in MLflow or in an index."""
    holder = (folder / manifest).parent.parent
    hidden = any(part.startswith(".") for part in manifest.parts)  # a process was killed while it wrote
    return not hidden and holder.name != "artifacts" and not store_exists(holder)
