"""A loss over pairs, whose captions go round the processes, equals that of one process with all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from imtext.losses import SigLIP, total_loss
from imtext.training.distributed import gather
from imtext.training.ring import ring_loss
from imtext.training.targets import CAPTION_IDS, IMAGE_IDS, targets_of
from tests.processes import run_together

pytestmark = pytest.mark.timeout(900)  # a busy machine imports torch for minutes

# Pictures 0 to 6 have one to three captions; two texts belong to pictures of different processes.
CAPTIONS = torch.tensor([0, 0, 1, 2, 2, 2, 3, 4, 4, 5, 6, 6])
TEXTS = torch.tensor([7, -1, -1, 8, -1, -1, 7, -1, 8, -1, 7, -1])
SHARES = {2: ((0, 4), (4, 7)), 3: ((0, 3), (3, 4), (4, 7))}  # pictures of each process: unequal on purpose
DIM = 5


def whole() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    known = [[int(text) for text in TEXTS[image == CAPTIONS] if text >= 0] for image in range(7)]
    return {
        "image": torch.randn(7, DIM, generator=generator),
        "text": torch.randn(len(CAPTIONS), DIM, generator=generator),
        "image_id": torch.arange(7),
        "image_text_ids": torch.tensor([texts or [-2] for texts in known]),
        "caption_image_id": CAPTIONS,
        "caption_text_id": TEXTS,
    }


def part(start: int, end: int) -> dict[str, Tensor]:
    captions = (start <= CAPTIONS) & (end > CAPTIONS)
    of_captions = {*CAPTION_IDS, "text"}
    return {name: value[captions] if name in of_captions else value[start:end] for name, value in whole().items()}


class Step(nn.Module):
    """Two projections, a temperature and the bias of the loss, the smallest model that this loss trains."""

    def __init__(self, ring: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.ring, self.loss = ring, SigLIP(7)
        self.image, self.text = nn.Linear(DIM, 4), nn.Linear(DIM, 4)
        self.logit_scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, batch: Any) -> tuple[Tensor, Tensor]:
        """The loss and the chance level."""
        images, texts = (nn.functional.normalize(getattr(self, name)(batch[name]), dim=1) for name in ("image", "text"))
        if self.ring:
            terms, chance = ring_loss(self.loss, images, texts, batch, self.logit_scale)
            return total_loss(terms), chance
        targets = targets_of(batch)
        terms = self.loss(gather(images), gather(texts), targets, self.logit_scale)
        return total_loss(terms), self.loss.chance(targets)


def step(module: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    loss, chance = module(batch)
    loss.backward()
    found = {name.removeprefix("module."): value.grad for name, value in module.named_parameters()}
    assert all(value is not None for value in found.values())
    return {"loss": loss.detach(), "chance": chance, **found}


def process(number: int, folder: Path, count: int) -> None:
    mine = part(*SHARES[count][number])
    assert set(IMAGE_IDS) < mine.keys()
    for name, ring in (("ring", True), ("gathered", False)):
        module = nn.parallel.DistributedDataParallel(Step(ring))
        torch.save(step(module, mine), folder / f"{name}{number}.pt")
    torch.save([largest_saved(ring) for ring in (True, False)], folder / f"saved{number}.pt")


def largest_saved(ring: bool) -> int:
    """Numbers in the largest tensor that is kept for the backward pass, with 64 pictures in each process."""
    sizes: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    ids = torch.arange(64) + 64 * dist.get_rank()
    batch = {"image": torch.randn(64, DIM), "text": torch.randn(64, DIM), "image_id": ids, "caption_image_id": ids}
    batch |= {"image_text_ids": torch.empty(64, 0).long(), "caption_text_id": torch.full((64,), -1)}
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        Step(ring)(batch)
    return max(sizes)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_processes_equal_one_with_the_whole_batch(tmp_path: Path, count: int) -> None:
    run_together(count, process, tmp_path, count)
    expected = step(Step(ring=False), whole())
    assert {"image.weight", "text.bias", "logit_scale", "loss.bias", "loss", "chance"} <= expected.keys()
    for number in range(count):
        for name in ("ring", "gathered"):
            found = torch.load(tmp_path / f"{name}{number}.pt")
            assert found.keys() == expected.keys()
            for key, value in expected.items():
                torch.testing.assert_close(found[key], value, msg=f"{name} {key}")
        in_ring, gathered = torch.load(tmp_path / f"saved{number}.pt")
        assert in_ring < 64 * 64  # no pairs at all: each part is computed again
        assert gathered >= (64 * count) ** 2
