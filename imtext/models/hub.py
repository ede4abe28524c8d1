"""Pretrained models of the Hugging Face hub, downloaded once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imtext.errors import ConfigError


def download(name: str, patterns: Sequence[str], setting: str, needed: str) -> Path:
    """Download files of a model; files that are there already are not downloaded again.

    Args:
        name: of the model on the hub, ``owner/name``.
        patterns: names of the files.
        setting: the setting that names the model, for messages.
        needed: the files that a folder must have instead, for messages.

    Returns:
        The folder with these files, in the hub's cache.

    Raises:
        ConfigError: the hub cannot be reached or has no such model.
    """
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(patterns)))
    except Exception as error:  # the library and its connection raise many kinds of errors
        raise ConfigError(
            f"{setting}={name}: there is no folder of this name, and it cannot be downloaded from the Hugging Face hub "
            f"({type(error).__name__}). Check the name and the connection; HF_HUB_OFFLINE=1 allows only what was "
            f"downloaded before, to {huggingface_hub.constants.HF_HUB_CACHE}. Or give the path of a folder with "
            f"{needed}."
        ) from error
