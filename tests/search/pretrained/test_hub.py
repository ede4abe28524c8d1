"""Bundles on the hub: what arrives there comes back, and anything else is refused."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest

from imtext.errors import BundleError
from imtext.search import Bundle, load_bundle
from imtext.search.bundle import copy_bundle
from imtext.search.pretrained import named_bundle, pull_bundle, push_bundle, shared_output
from tests.conftest import changed_bundle
from tests.hub import READER, TOKEN, Hub

NAME = "anna/photos"
CARD = "---\nlicense: mit\n---\n# Photos\n"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_there_and_back(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    address = push_bundle(bundle, NAME, CARD)
    assert address == f"{huggingface_hub.constants.ENDPOINT}/{NAME}"
    assert hub.files(NAME) == contents(bundle.path) | {"README.md": CARD.encode()}
    assert not hub.repositories[NAME].private
    pulled = pull_bundle(NAME, tmp_path / "pulled")
    assert contents(pulled.path) == contents(bundle.path), "and no README.md"
    assert pulled.fingerprint == bundle.fingerprint


def test_a_newer_bundle_replaces_an_older_one(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    push_bundle(bundle, NAME, CARD)
    first = next(iter(hub.repositories[NAME].commits))
    newer = changed_bundle(bundle, tmp_path / "newer", name="newer")
    push_bundle(newer, NAME, CARD)
    assert len(hub.repositories[NAME].commits) == 2
    folder = tmp_path / "pulled"
    assert pull_bundle(NAME, folder).manifest["name"] == "newer"
    assert pull_bundle(NAME, folder, revision=first).manifest["name"] == bundle.manifest["name"]


def test_a_private_repository(hub: Hub, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push_bundle(bundle, NAME, CARD, private=True)
    assert hub.repositories[NAME].private
    pull_bundle(NAME, tmp_path / "pulled")
    push_bundle(bundle, "anna/public", CARD)
    with pytest.raises(BundleError, match="anna/public exists and everyone may read it"):
        push_bundle(bundle, "anna/public", CARD, private=True)
    monkeypatch.setenv("HF_TOKEN", READER)
    with pytest.raises(BundleError, match=r"photos does not exist on the hub or may not be read .* hf auth login"):
        pull_bundle(NAME, tmp_path / "pulled")


@pytest.mark.parametrize(
    ("name", "token", "message"),
    [
        (NAME, None, "Nobody is logged in to the hub. Log in: hf auth login"),
        (NAME, "hf_wrong", "does not know your token"),
        (NAME, READER, "may not write to anna/photos"),
        ("ben/photos", TOKEN, "may not write to ben/photos"),
        ("photos", TOKEN, "is USER/NAME, such as anna/my-photos, not photos"),
        ("anna/a--b", TOKEN, "does not accept anna/a--b: Cannot have --"),
    ],
)
def test_a_push_that_is_refused(
    hub: Hub, bundle: Bundle, name: str, token: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(BundleError, match=message):
        push_bundle(bundle, name, CARD)
    assert hub.repositories == {}


def test_a_licence_that_the_hub_does_not_know(hub: Hub, bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r'does not accept anna/photos: Invalid metadata .* "license" must be one of'):
        push_bundle(bundle, NAME, CARD.replace("mit", "wtfpl"))
    assert hub.repositories[NAME].commits == {}


@pytest.mark.parametrize(
    ("name", "revision", "message"),
    [
        ("anna/none", None, "anna/none does not exist on the hub"),
        (NAME, "v9", "anna/photos has no such revision"),
        ("anna", None, "is USER/NAME"),
    ],
)
def test_a_pull_that_is_refused(hub: Hub, bundle: Bundle, name: str, revision: str | None, message: str) -> None:
    push_bundle(bundle, NAME, CARD)
    with pytest.raises(BundleError, match=message):
        pull_bundle(name, shared_output(name), revision)


def test_the_hub_does_not_answer(hub: Hub, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    for ask in (lambda: push_bundle(bundle, NAME, CARD), lambda: pull_bundle(NAME, tmp_path / "pulled")):
        with pytest.raises(BundleError, match=r"does not answer for anna/photos \(ConnectError") as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_a_repository_without_a_bundle(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    push_bundle(bundle, NAME, CARD)
    hub.repositories[NAME].commit({"README.md": b"", "model.onnx": b"graph"})
    with pytest.raises(BundleError, match=r"holds no bundle: it has no manifest\.json.*imtext bundle anna/photos"):
        pull_bundle(NAME, tmp_path / "pulled")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text.onnx": b"altered"}, r"text\.onnx is not the file that was exported.*Tell its owner"),
        ({"manifest.json": b"[]"}, "schema None"),
        ({"manifest.json": b"{"}, "cannot be read"),
        ({"text.onnx": None}, r"text\.onnx cannot be read"),
    ],
)
def test_an_altered_bundle(
    hub: Hub, bundle: Bundle, tmp_path: Path, changes: dict[str, bytes | None], message: str
) -> None:
    """It is refused, and the bundle of before stays."""
    push_bundle(bundle, NAME, CARD)
    before = contents(pull_bundle(NAME, tmp_path / "pulled").path)
    files = {**hub.files(NAME), **changes}
    hub.repositories[NAME].commit({name: content for name, content in files.items() if content is not None})
    with pytest.raises(BundleError, match=f"anna/photos cannot be used: .*{message}"):
        pull_bundle(NAME, tmp_path / "pulled")
    assert contents(tmp_path / "pulled") == before


def test_other_files_are_not_downloaded(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    push_bundle(bundle, NAME, CARD)
    hub.repositories[NAME].commit({**hub.files(NAME), "more.onnx": b"graph", "setup.py": b"import os"})
    pulled = pull_bundle(NAME, tmp_path / "pulled")
    assert contents(pulled.path) == contents(bundle.path)
    assert not [line for line in hub.log if line.endswith(("more.onnx", "setup.py", "README.md"))]


def test_an_interrupted_download_is_resumed(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    push_bundle(bundle, NAME, CARD)
    hub.cut = 1000
    assert contents(pull_bundle(NAME, tmp_path / "pulled").path) == contents(bundle.path)


def test_a_failed_download_leaves_nothing(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    push_bundle(bundle, NAME, CARD)
    hub.broken = True
    with pytest.raises(BundleError, match=r"photos could not be downloaded \(HfHubHTTPError"):
        pull_bundle(NAME, tmp_path / "new" / "pulled")
    assert not (tmp_path / "new").exists()
    assert not list((tmp_path / "cache").rglob("*.incomplete"))


def test_a_folder_with_other_files(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    push_bundle(bundle, NAME, CARD)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.jpg").touch()
    with pytest.raises(BundleError, match="contains files that do not belong to a bundle"):
        pull_bundle(NAME, tmp_path / "mine")


def test_by_name(hub: Hub, bundle: Bundle) -> None:
    """A bundle that is named is downloaded once; a damaged copy of it again."""
    push_bundle(bundle, NAME, CARD)
    commit = next(iter(hub.repositories[NAME].commits))
    folder = named_bundle(Path(f"hf://{NAME}"))
    assert folder == shared_output(NAME)
    assert load_bundle(folder).fingerprint == bundle.fingerprint
    hub.log.clear()
    assert named_bundle(Path(f"hf://{NAME}")) == folder
    assert hub.log == []
    (folder / "text.onnx").write_bytes(b"damaged")
    assert contents(named_bundle(Path(f"hf://{NAME}"))) == contents(bundle.path)
    assert named_bundle(Path(f"hf://{NAME}@{commit}")) == folder.with_name(f"anna--photos@{commit}")


def test_other_names_are_no_names_of_the_hub(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    copy_bundle(bundle, tmp_path / "anna" / "photos")
    for name in (tmp_path / "anna" / "photos", Path("anna/photos")):
        assert named_bundle(name) == name
    assert hub.log == []
