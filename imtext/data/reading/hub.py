"""Load data sets from the Hugging Face hub or from parquet files."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imtext.data.captions import HINT
from imtext.errors import DataError

log = logging.getLogger(__name__)


def load_hub(name: str, config: str | None = None) -> Mapping[str, Any]:
    """Load a data set of the hub; `datasets` downloads it once and keeps it.

    Args:
        name: ``owner/name`` on the hub.
        config: configuration of the data set, if it has several.

    Returns:
        Split name → `datasets.Dataset`.

    Raises:
        DataError: it does not exist or cannot be reached.
    """
    import datasets

    offline = not _reachable(name)
    try:
        with _offline(offline):
            loaded = datasets.load_dataset(name, config)
    except Exception as error:  # datasets raises many kinds of errors; all mean that there is no data
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no details'}"
        if offline:
            reason = "no connection, and no earlier download"
        raise DataError(f"The data set {name!r} could not be loaded from the hub ({reason}). {HINT}") from error
    return loaded if isinstance(loaded, Mapping) else {"train": loaded}


def _reachable(name: str) -> bool:
    """Ask the hub for a data set.

    Returns:
        Whether it may be downloaded; False without a connection, when only an earlier download can be used.

    Raises:
        DataError: the hub answers that the data set does not exist or may not be read.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        huggingface_hub.HfApi().dataset_info(name, timeout=10)
    except HfHubHTTPError as error:
        raise DataError(
            f"The data set {name!r} does not exist on the hub or may not be read ({type(error).__name__}). "
            f"Check the name, or log in. {HINT}"
        ) from error
    except Exception as error:  # noqa: BLE001  no connection; an earlier download may exist
        log.warning("The hub does not answer (%s); looking for an earlier download of %s", type(error).__name__, name)
        return False
    return not huggingface_hub.constants.HF_HUB_OFFLINE


@contextmanager
def _offline(offline: bool) -> Iterator[None]:
    """Tell `datasets` that there is no connection; otherwise it retries for many minutes before it fails."""
    import datasets
    import huggingface_hub

    before = huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = offline
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def load_parquet(folder: Path) -> Mapping[str, Any]:
    """Load the parquet files below a folder.

    The split is the part of the file name before the first dash: `train-00000-of-00003.parquet`.

    Returns:
        Split name → `datasets.Dataset`.

    Raises:
        DataError: a file cannot be read.
    """
    import datasets

    files: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("*.parquet")):
        files.setdefault(file.stem.split("-")[0], []).append(str(file))
    try:
        return {split: datasets.Dataset.from_parquet(part) for split, part in files.items()}
    except Exception as error:  # pyarrow and datasets raise many kinds of errors
        raise DataError(f"The parquet files below {folder} cannot be read: {error}") from error
