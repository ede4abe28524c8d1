"""A batch that is spread over processes trains like the same batch in one process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from imtext.losses import InfoNCE, Targets
from imtext.training.distributed import gather, is_rank_zero, rank, world_size

IMAGES, CAPTIONS, DIM = 6, 12, 5
SHARES = ((0, 4), (4, 6))  # images of each of two processes: unequal on purpose


def test_one_process_changes_nothing() -> None:
    tensor = torch.ones(2, 3, requires_grad=True)
    assert gather(tensor) is tensor
    assert (world_size(), rank(), is_rank_zero()) == (1, 0, True)


def test_the_rank_is_known_before_the_process_group_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert (rank(), is_rank_zero()) == (1, False)


def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images, texts = (torch.randn(rows, DIM, generator=generator) for rows in (IMAGES, CAPTIONS))
    image_id = torch.arange(IMAGES)
    return images, texts, image_id, image_id.repeat_interleave(2)


class Towers(nn.Module):
    """Two projections and a temperature, the smallest model with shared and own parameters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.image, self.text = nn.Linear(DIM, 4), nn.Linear(DIM, 4)
        self.logit_scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, images: Tensor, texts: Tensor, image_id: Tensor, caption_image_id: Tensor) -> Tensor:
        parts = [nn.functional.normalize(self.image(images), dim=1), nn.functional.normalize(self.text(texts), dim=1)]
        targets = Targets(gather(image_id)[:, None] == gather(caption_image_id)[None, :])
        return sum(InfoNCE()(*map(gather, parts), targets, self.logit_scale).values(), torch.zeros(()))


def train_step(towers: nn.Module, *inputs: Tensor) -> dict[str, Tensor]:
    loss = towers(*inputs)
    loss.backward()
    found = {name.removeprefix("module."): value.grad for name, value in towers.named_parameters()}
    return {name: value for name, value in found.items() if value is not None} | {"loss": loss.detach()}


def process(number: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=number, world_size=len(SHARES))
    try:
        images, texts, image_id, caption_image_id = batch()
        start, end = SHARES[number]
        assert gather(image_id[start:end]).equal(image_id)
        assert gather(images[start:end] > 0).equal(images > 0)  # masks, too
        assert gather(images[: 3 * number]).shape == (3, DIM)  # a process may have no row
        assert is_rank_zero() == (number == 0)
        mine = (
            images[start:end],
            texts[2 * start : 2 * end],
            image_id[start:end],
            caption_image_id[2 * start : 2 * end],
        )
        found = train_step(nn.parallel.DistributedDataParallel(Towers()), *mine)
        torch.save(found, Path(folder) / f"{number}.pt")
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one_with_the_whole_batch(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(process, (str(tmp_path),), nprocs=len(SHARES))  # type: ignore[no-untyped-call,attr-defined]
    expected = train_step(Towers(), *batch())
    assert {"image.weight", "text.bias", "logit_scale", "loss"} <= expected.keys()
    for number in range(len(SHARES)):
        found = torch.load(tmp_path / f"{number}.pt")
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value)
