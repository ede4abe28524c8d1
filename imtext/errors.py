"""Errors that are shown to users as a message instead of a traceback."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}  # full, or cannot be written


class ImtextError(Exception):
    """An error that the user can fix; the message names the thing, the limit and the fix."""


class ConfigError(ImtextError):
    """A setting that does not exist, has the wrong type, or contradicts another."""


class DataError(ImtextError):
    """A data set that cannot be found, read or split."""


class DivergedError(ImtextError):
    """A training whose loss or weights became infinite or NaN."""


class CheckpointError(ImtextError):
    """A checkpoint that cannot be found or was not written by imtext."""


class BundleError(ImtextError):
    """A bundle that cannot be found, was altered, or does not fit."""


class SearchError(ImtextError):
    """An index or a query that cannot be used."""


class MissingExtraError(ImtextError, ImportError):
    """A package of an optional part of the installation is missing."""


class StoreError(ImtextError):
    """A store that cannot be read or written: a full disk, a lock, a lost connection."""


Extra = Literal["train", "serve", "mcp", "watch", "timm", "hf", "open-clip", "raw", "jxl", "ocr", "places", "lance"]


def install_command(extra: Extra) -> str:
    """The command that installs an extra, and its counterpart in a checkout."""
    return f'pip install "imtext[{extra}]" (in a checkout: uv sync)'


@contextmanager
def needs(extra: Extra, exits: bool = False) -> Iterator[None]:
    """Turn a missing package into a message that names the command to install it.

    Import everything that belongs to an extra inside this block.

    Args:
        extra: the extra that the imports in the block belong to.
        exits: print the message and exit with status 1 instead of raising it; for modules that are run by `python -m`.

    Raises:
        MissingExtraError: a package of the extra is not installed.
        ModuleNotFoundError: a module of `imtext` itself is missing, which no extra provides.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "imtext"):
            raise
        message = f"The package {package} is not installed. Install what this needs: {install_command(extra)}"
        if exits:
            raise SystemExit(f"error: {message}") from None
        raise MissingExtraError(message) from error
