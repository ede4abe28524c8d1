"""Bundles on the Hugging Face hub: uploaded as they are, and downloaded into a folder after a check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imtext.errors import BundleError
from imtext.search.bundle import Bundle, copy_bundle, load_bundle
from imtext.search.manifest import EXPORT_AGAIN, MANIFEST, read_manifest
from imtext.search.pretrained.download import download, explained
from imtext.search.pretrained.sources import bundles_dir, is_repository

CARD = "README.md"  # what the hub shows of a repository


def push_bundle(bundle: Bundle, repository: str, card: str, private: bool = False) -> str:
    """Upload a bundle in one commit: the hub has all of it, or what it had before.

    Args:
        bundle: the bundle; its files get the same names at the top of the repository.
        repository: ``owner/name`` on the hub; created if it does not exist.
        card: Markdown, for the README.md of the repository; replaces one that is there.
        private: only you and your organization may read a new repository.

    Returns:
        The address of the repository.

    Raises:
        BundleError: nobody is logged in, the hub refuses, or the repository is public and should be private.
    """
    import huggingface_hub

    _check_name(repository)
    api = huggingface_hub.HfApi()
    contents = {CARD: card.encode()} | {name: bundle.path / name for name in (MANIFEST, *bundle.manifest["files"])}
    files = [huggingface_hub.CommitOperationAdd(name, content) for name, content in contents.items()]
    with _explaining(repository):
        if huggingface_hub.get_token() is None:
            raise BundleError("Nobody is logged in to the hub. Log in: hf auth login, or set HF_TOKEN")
        address = str(api.create_repo(repository, private=private or None, exist_ok=True))
        if private and not api.model_info(repository).private:
            raise BundleError(
                f"{repository} exists and everyone may read it. Make it private in its settings on the hub, or take "
                "another name"
            )
        api.create_commit(repository, files, commit_message=f"Bundle {bundle.fingerprint} of {bundle.manifest['name']}")
    return address


def pull_bundle(repository: str, folder: Path, revision: str | None = None) -> Bundle:
    """Download a bundle and check it. Only files that its manifest names are taken.

    Args:
        repository: ``owner/name`` on the hub.
        folder: folder of the bundle; replaced if it holds a bundle and nothing else, and left as it is on any error.
        revision: branch, tag or commit; None: the newest.

    Raises:
        BundleError: the repository does not exist, may not be read or holds no bundle, the hub does not answer, a file
            is not the one that was exported, or the folder holds something else.
    """
    import huggingface_hub

    _check_name(repository)
    with _explaining(repository):
        found = huggingface_hub.HfApi().model_info(repository, revision=revision)
    names = {file.rfilename for file in found.siblings or ()}
    if MANIFEST not in names:
        raise BundleError(
            f"{repository} holds no bundle: it has no {MANIFEST}. A ready CLIP model becomes one: "
            f"imtext bundle {repository}"
        )
    downloaded = download(repository, [MANIFEST], found.sha)  # of one commit, whatever is uploaded meanwhile
    try:
        files = read_manifest(downloaded).get("files")
        if isinstance(files, dict):
            downloaded = download(repository, [MANIFEST, *(names & set(files))], found.sha)
        bundle = load_bundle(downloaded)
    except BundleError as error:
        reason = str(error).replace(EXPORT_AGAIN, "Tell its owner, or take an earlier --revision")
        raise BundleError(f"{repository} cannot be used: {reason}") from error
    return copy_bundle(bundle, folder)


def shared_output(repository: str, revision: str | None = None) -> Path:
    """The folder of a bundle of the hub, unless another is named."""
    name = f"{repository}@{revision}" if revision else repository
    return bundles_dir() / name.replace("/", "--")


def shared_bundle(name: Path) -> Path | None:
    """The folder that the name of a bundle on the hub means; the bundle is downloaded if it was not before.

    Args:
        name: ``hf://owner/name`` or ``hf://owner/name@revision``, where the path has one slash of the two.

    Returns:
        The folder; None if this is no such name.

    Raises:
        BundleError: as of `pull_bundle`.
    """
    found = re.fullmatch(r"hf:/+([^@]+)(?:@(.+))?", name.as_posix())
    if found is None:
        return None
    repository, revision = found.groups()
    folder = shared_output(repository, revision)
    try:
        return load_bundle(folder).path
    except BundleError:  # never downloaded, or damaged
        return pull_bundle(repository, folder, revision).path


def _check_name(repository: str) -> None:
    if not is_repository(repository):
        raise BundleError(f"A name on the hub is USER/NAME, such as anna/my-photos, not {repository}")


@contextmanager
def _explaining(repository: str) -> Iterator[None]:
    """Turn the many kinds of errors of the hub's library and its connection into one message."""
    try:
        yield
    except BundleError:
        raise
    except Exception as error:
        # Of an upload, the library reports which file failed, and why as the cause.
        reason = error.__cause__ if isinstance(error, RuntimeError) else error
        raise explained(repository, reason if isinstance(reason, Exception) else error) from error
