"""Which captions describe which images, in one process and in several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from imtext.training.targets import targets_of

# Images 7, 3 and 5. Image 3 has text 0, too, but its caption with this text is not in the batch.
BATCH: Any = {
    "image_id": torch.tensor([7, 3, 5]),
    "caption_image_id": torch.tensor([7, 7, 3, 5]),
    "caption_text_id": torch.tensor([0, -1, 1, 1]),
    "image_text_ids": torch.tensor([[0, -2], [1, 0], [1, -2]]),
}
EXPECTED = [[1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 1, 1]]


def test_own_captions_and_equal_texts() -> None:
    assert targets_of(BATCH).positive.int().tolist() == EXPECTED
    assert targets_of(BATCH, everywhere=False).positive.int().tolist() == EXPECTED


def test_without_shared_texts_only_the_image_counts() -> None:
    alone: Any = {**BATCH, "caption_text_id": torch.full((4,), -1), "image_text_ids": torch.empty(3, 0).long()}
    assert targets_of(alone).positive.int().tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def process(number: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=number, world_size=2)
    try:
        images, captions = (slice(0, 2), slice(0, 3)) if number == 0 else (slice(2, 3), slice(3, 4))
        mine: Any = {name: value[images if "caption" not in name else captions] for name, value in BATCH.items()}
        assert targets_of(mine).positive.int().tolist() == EXPECTED
        assert targets_of(mine, everywhere=False).positive.shape == ((2, 3) if number == 0 else (1, 1))
        mine |= {"image_text_ids": mine["image_text_ids"][:, :0]}
        assert targets_of(mine).positive.sum() == 4
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_over_two_processes(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(process, (str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call,attr-defined]
