"""Downloads from the hub, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.errors import ConfigError
from imtext.models.hub import download


def test_what_cannot_be_downloaded_is_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"model\.name=someone/something: .*folder with config\.json") as refused:
        download("someone/something", ["*.json"], "model.name", "config.json")
    assert "\n" not in str(refused.value)


def test_a_name_that_no_model_can_have() -> None:
    with pytest.raises(ConfigError, match="HFValidationError"):
        download("a/b/c/d", ["*.json"], "model.name", "config.json")


def test_only_these_files_are_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, object] = {}

    def snapshot(name: str, **options: object) -> str:
        asked.update(options, name=name)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert download("owner/model", ("*.json",), "model.name", "config.json") == tmp_path
    assert asked == {"name": "owner/model", "allow_patterns": ["*.json"]}
