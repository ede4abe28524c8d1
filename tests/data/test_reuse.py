"""Reading data once for several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from imtext.data import Shapes
from imtext.data.reuse import ReadOnce

SETTINGS: dict[str, Any] = {"num_images": 30, "image_size": 32, "batch_size": 4, "seed": 0}


def module(read: ReadOnce, cache: Path, **changes: Any) -> Shapes:
    settings = {**SETTINGS, "cache_dir": str(cache), **changes}
    data = Shapes(**settings)
    read.setup(data, settings)
    return data


def test_a_second_module_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = ReadOnce()
    first = module(read, tmp_path)
    vectors = first.word_vectors(4)
    monkeypatch.setattr(Shapes, "load_source", None)
    second = module(read, tmp_path, batch_size=8, seed=5, captions_per_image=1)
    assert (second.batch_size, second.seed, second.tokenizer) == (8, 5, first.tokenizer)
    assert second.word_vectors(4) is vectors
    expected = Shapes(**{**SETTINGS, "cache_dir": str(tmp_path), "batch_size": 8, "seed": 5, "captions_per_image": 1})
    monkeypatch.undo()
    expected.setup()
    for ours, theirs in zip(second.train_dataloader(), expected.train_dataloader(), strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours if key != "first_block")


@pytest.mark.parametrize("change", [{"min_word_count": 3}, {"num_images": 20}, {"split_seed": 1}, {"image_size": 48}])
def test_other_data_is_read_again(tmp_path: Path, change: dict[str, Any]) -> None:
    read = ReadOnce()
    first, second = module(read, tmp_path), module(read, tmp_path, **change)
    different = (
        first.tokenizer.to_json() != second.tokenizer.to_json(), len(first.names) != len(second.names),
        first.rows != second.rows, first.preprocess != second.preprocess,
    )  # fmt: skip
    assert any(different)


def test_a_failed_setup_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = ReadOnce()

    def broken(self: Shapes) -> None:
        raise OSError("no disk")

    with monkeypatch.context() as patch:
        patch.setattr(Shapes, "load_source", broken)
        with pytest.raises(OSError, match="no disk"):
            module(read, tmp_path)
    assert len(module(read, tmp_path).rows["train"]) > 0
