"""The reference for training speed: a plain training loop without caches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from imtext.benchmark.recipe import device_of, now
from imtext.benchmark.speed import Speed, peak_memory
from imtext.config.instantiate import instantiate
from imtext.data import RetrievalDataModule
from imtext.data.pictures import normalize
from imtext.errors import ConfigError
from imtext.evaluation.embed import embed_split
from imtext.losses import Loss, Targets, total_loss
from imtext.training.build import ModelBuilder

BATCH = 64  # images, each with one caption
WARM_UP = 3  # steps that are not counted


class PlainLoop:
    """Decodes every picture in every epoch and runs the whole network on it and one of its captions.

    Args:
        config: configuration of the recipe; model and loss are taken from it.
        data: already set up.
    """

    def __init__(self, config: DictConfig, data: RetrievalDataModule) -> None:
        torch.manual_seed(config.seed)
        self.data, self.device = data, device_of(config)
        self.source = data.load_source()
        self.loss: Loss = instantiate(config.loss).to(self.device)
        self.model = ModelBuilder(config.model).finish(data.tokenizer.vocabulary).to(self.device)
        # A tenth of the rate for the pretrained tower, which would otherwise lose what it has learnt.
        tower = list(self.model.image_encoder.parameters())
        rest = [each for name, each in self.model.named_parameters() if not name.startswith("image_encoder.")]
        rest += self.loss.parameters()
        self.optimizer = torch.optim.AdamW([{"params": tower, "lr": 1e-4}, {"params": rest, "lr": 1e-3}])

    def batches(self, epoch: int) -> Iterator[list[int]]:
        """Rows of the training split in random order, `BATCH` at a time."""
        rows = np.random.default_rng(epoch).permutation(self.data.rows["train"]).tolist()
        yield from (rows[start : start + BATCH] for start in range(0, len(rows) - BATCH + 1, BATCH))

    def images(self, rows: list[int]) -> Tensor:
        """Decode and normalise: ``[B, 3, S, S]``."""
        pixels = np.stack([self.data.preprocess.pixels(self.source.load_image(row)) for row in rows])
        return normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2), self.data.preprocess)

    def step(self, rows: list[int], images: Tensor, epoch: int) -> None:
        """One optimizer step."""
        captions = [self.data.captions[row][epoch % len(self.data.captions[row])] for row in rows]
        input_ids, attention_mask = (torch.from_numpy(each).to(self.device) for each in self.data.tokenizer(captions))
        self.model.train()
        terms = self.loss(
            self.model.encode_image(images.to(self.device)),
            self.model.encode_text(input_ids, attention_mask),
            Targets(torch.eye(len(rows), dtype=torch.bool, device=self.device)),
            self.model.logit_scale,
        )
        self.optimizer.zero_grad()
        total_loss(terms).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.model.clamp_logit_scale()
        self.loss.clamp()

    def recall(self) -> float:
        """Text-to-image R@10 on the validation split."""
        batches = self.data.eval_dataloader("val")
        return embed_split(self.model.eval(), batches, self.device, "Measuring").compute()["t2i_r@10"]


def time_plain_loop(config: DictConfig, data: RetrievalDataModule, steps: int) -> Speed:
    """Measure some steps of the plain loop.

    Raises:
        ConfigError: there are too few training pictures.
    """
    loop = PlainLoop(config, data)
    waited = worked = 0.0
    seen = 0
    for number, rows in enumerate(loop.batches(0)):
        if number == steps + WARM_UP:
            break
        began = now()
        images = loop.images(rows)
        ready = now()
        loop.step(rows, images, 0)
        if number >= WARM_UP:
            waited, worked, seen = waited + ready - began, worked + now() - ready, seen + len(rows)
    if not seen:
        raise ConfigError(f"The benchmark needs at least {(WARM_UP + 1) * BATCH} training pictures")
    seconds = waited + worked
    return Speed("plain loop", seen / seconds, seen / seconds, waited / seconds, peak_memory())
