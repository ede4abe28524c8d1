"""Loading data sets from the hub and from parquet files."""

from __future__ import annotations

from pathlib import Path

import datasets
import huggingface_hub
import pytest

from imtext.data.reading.hub import load_hub, load_parquet
from imtext.errors import DataError


def test_unreachable_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(*args: object, **options: object) -> None:
        raise ConnectionError("cannot reach it")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)  # put back afterwards
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(DataError, match=r"jxie/flickr8k.*data\.path=.*data=shapes"):
        load_hub("jxie/flickr8k")


def test_an_earlier_download_serves_without_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, **options: object) -> None:
        raise ConnectionError("cannot reach it")

    def load(name: str, config: str | None) -> datasets.Dataset:
        assert datasets.config.HF_HUB_OFFLINE
        return datasets.Dataset.from_dict({"text": [f"{name} {config}"]})

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
    monkeypatch.setattr(datasets, "load_dataset", load)
    before = datasets.config.HF_HUB_OFFLINE
    assert load_hub("me/photos", "small")["train"]["text"][0] == "me/photos small"
    assert before == datasets.config.HF_HUB_OFFLINE


def test_splits_are_named_by_files(tmp_path: Path) -> None:
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test"):
        datasets.Dataset.from_dict({"text": [name]}).to_parquet(str(tmp_path / f"{name}.parquet"))
    assert {split: len(part) for split, part in load_parquet(tmp_path).items()} == {"train": 2, "test": 1}


def test_broken_parquet(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_text("not parquet")
    with pytest.raises(DataError, match=r"parquet files below .* cannot be read"):
        load_parquet(tmp_path)
