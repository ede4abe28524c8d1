"""Downloads: what is asked of the hub, and what happens without a connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from imtext.errors import BundleError
from imtext.search.pretrained.download import download, explained, hub_files
from tests.exported import Exported


def unreachable(*args: Any, **kwargs: Any) -> Any:
    raise ConnectionError("no route to host")


def test_the_files_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda self, name: ["config.json", name])
    assert hub_files("owner/model") == ["config.json", "owner/model"]


def test_a_model_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Any, name: str) -> Any:
        raise RepositoryNotFoundError("404", response=MagicMock())

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", missing)
    with pytest.raises(BundleError, match=r"owner/model does not exist on the hub or may not be read \(Repository"):
        hub_files("owner/model")


def test_without_a_connection(immich: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier download is used; without one the message says how to bring the files here."""
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", unreachable)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, local_files_only: str(immich.folder))
    assert "visual/model.onnx" in hub_files("owner/model")

    def nothing(name: str, local_files_only: bool) -> Any:
        raise LocalEntryNotFoundError("not in the cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", nothing)
    with pytest.raises(BundleError, match="hf download owner/model --local-dir model, copy that folder") as caught:
        hub_files("owner/model")
    assert "\n" not in str(caught.value)


def test_only_the_named_files_are_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def snapshot(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert download("owner/model", ["a.json", "b.onnx"]) == tmp_path
    assert download("owner/model", ["a.json"], "v1") == tmp_path
    assert asked == [("owner/model", None, ["a.json", "b.onnx"]), ("owner/model", "v1", ["a.json"])]
    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(
        BundleError, match=r"could not be downloaded \(ConnectionError: no route to host\)\. Run the command"
    ):
        download("owner/model", ["a.json"])


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "does not know your token"), (403, "may not write to owner/model"), (500, r"does not answer.*\(HfHubHTTP")],
)
def test_refusals_of_the_hub(status: int, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        raise explained("owner/model", HfHubHTTPError("first\nsecond", response=MagicMock(status_code=status)))
