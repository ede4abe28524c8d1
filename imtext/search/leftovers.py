"""Remove unfinished files of killed processes. Their names end in the process's id."""

from __future__ import annotations

import re
import shutil
from pathlib import Path


def remove_leftovers(folder: Path, names: str) -> None:
    """Remove files and folders called ``<name>.<process id>`` whose process no longer runs.

    Args:
        folder: folder that contains them.
        names: regular expression of the names before the process id.
    """
    import psutil  # here, because a search must not wait for it

    for path in folder.iterdir():
        unfinished = re.fullmatch(rf"(?:{names})\.(\d{{1,9}})(?:\.\d+)?", path.name)
        if unfinished and not psutil.pid_exists(int(unfinished[1])):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
