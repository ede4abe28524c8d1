"""Files of a model on the Hugging Face hub: downloaded once, and taken from the hub's cache later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imtext.errors import BundleError


def hub_files(name: str) -> list[str]:
    """The names of all files of a model: those on the hub, or without a connection those downloaded before.

    Args:
        name: ``owner/name`` on the hub.

    Raises:
        BundleError: the model does not exist, or the hub does not answer and nothing was downloaded before.
    """
    import huggingface_hub
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return list(huggingface_hub.HfApi().list_repo_files(name))
    except RepositoryNotFoundError as error:
        raise explained(name, error) from error
    except Exception:  # noqa: BLE001  no connection, in one of many kinds; an earlier download may exist
        folder = _cached(name)
        return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def download(name: str, files: Sequence[str], revision: str | None = None) -> Path:
    """Download files of a model, with a progress bar; an interrupted download is resumed.

    Args:
        name: ``owner/name`` on the hub.
        files: their names.
        revision: branch, tag or commit; None: the newest.

    Returns:
        The folder with these files, in the hub's cache.

    Raises:
        BundleError: the download failed.
    """
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=list(files)))
    except Exception as error:  # the connection fails in many ways
        raise BundleError(
            f"{name} could not be downloaded ({type(error).__name__}: {_first_line(error)}). Run the command again: it "
            f"continues where it stopped. {_by_hand(name)}"
        ) from error


def explained(name: str, error: Exception) -> BundleError:
    """What the hub's library raised about a model, as one message with its fix."""
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, RepositoryNotFoundError):
        return BundleError(
            f"The model {name} does not exist on the hub or may not be read ({type(error).__name__}). Check the name, "
            "or log in: hf auth login"
        )
    if isinstance(error, RevisionNotFoundError):
        return BundleError(f"The model {name} has no such revision on the hub. Check --revision")
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if status == 401:
        return BundleError("The hub does not know your token. Log in again: hf auth login, or correct HF_TOKEN")
    if status == 403:
        return BundleError(
            f"Your token may not write to {name}. It needs the right to write, and the name must begin with yours or "
            "that of an organization of yours. Log in with another token: hf auth login"
        )
    if status is None and isinstance(error, ValueError):
        return BundleError(f"The hub does not accept {name}: {' '.join(str(error).split())}")
    return BundleError(
        f"The hub does not answer for {name} ({type(error).__name__}: {_first_line(error)}). Check the connection, and "
        "run the command again"
    )


def _cached(name: str) -> Path:
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(name, local_files_only=True))
    except (OSError, ValueError) as error:
        raise BundleError(f"The hub does not answer, and {name} was not downloaded before. {_by_hand(name)}") from error


def _by_hand(name: str) -> str:
    short = name.rpartition("/")[2]
    return (
        f"Without a connection: on another machine run hf download {name} --local-dir {short}, copy that folder to "
        f"this one, then: imtext bundle {short}, and give the folder that it prints to --bundle"
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "no details")
