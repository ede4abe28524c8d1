"""Validation that computes frozen blocks once for all trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from imtext.data.pictures import PER_PASS
from imtext.evaluation.metrics import RetrievalMetrics
from imtext.models import ImageEncoder
from imtext.training.features import digest_weights
from imtext.training.hubness import fit_hubness
from imtext.training.run import Run

CAPTIONS = 256  # captions of a batch


@dataclass(frozen=True)
class Pictures:
    """Validation pictures and their mirror images after the frozen blocks of an image tower, ``[I, …]``."""

    plain: Tensor
    mirrored: Tensor | None


class HeldOut:
    """The validation split, for towers whose lower blocks are frozen.

    What frozen towers compute is kept in memory in single precision, so metrics equal those of `imtext.evaluate` but
    for rounding. Only the last data set and tower are kept.
    """

    def __init__(self) -> None:
        self._pictures: tuple[str, Pictures] = "", Pictures(torch.empty(0), None)
        self._captions: tuple[str, Tensor] = "", torch.empty(0)

    @torch.no_grad()
    def measure(self, run: Run) -> dict[str, float]:
        """Rank the validation split after training; see `RetrievalMetrics.compute`."""
        module, device = run.module, run.trainer.strategy.root_device
        fit_hubness(module.model, run.data, device)
        model = module.model.to(device).eval()
        images = torch.cat(list(self._images(run, device)))
        texts = torch.cat(list(self._texts(run, device)))
        rows, data = run.data.rows["val"], run.data
        metrics = RetrievalMetrics()
        numbered = [(row, number) for row in rows for number in range(len(data.captions[row]))]
        owner = torch.tensor([row for row, _ in numbered])
        metrics.update(images.cpu(), texts.cpu(), torch.tensor(rows), owner, data.shared_texts.of_captions(numbered))
        model.train()
        return metrics.compute()

    def _images(self, run: Run, device: torch.device) -> Iterator[Tensor]:
        model, last = run.module.model, run.config["trainer"]["max_epochs"] - 1
        blocks = run.module.plan.frozen_blocks(last)
        if blocks == 0:
            for pictures in _pictures(run, device):
                yield model.encode_image(pictures)
            return
        kept = self._frozen(run, model.image_encoder, blocks, device)
        mirrored = kept.mirrored if kept.mirrored is not None else kept.plain
        for start in range(0, len(mirrored), PER_PASS):
            part = slice(start, start + PER_PASS)
            yield model.encode_image(kept.plain[part], first_block=blocks, mirror_image=mirrored[part])

    def _frozen(self, run: Run, encoder: ImageEncoder, blocks: int, device: torch.device) -> Pictures:
        mirror = run.module.model.mirror
        key = f"{self._data(run)} {digest_weights(encoder.blocks[:blocks])} {blocks} {mirror} {device}"
        if self._pictures[0] != key:
            pairs = [(encoder.lower(each, blocks), encoder.lower(each.flip(-1), blocks) if mirror else None)
                     for each in _pictures(run, device)]  # fmt: skip
            mirrored = torch.cat([pair[1] for pair in pairs if pair[1] is not None]) if mirror else None
            self._pictures = key, Pictures(torch.cat([pair[0] for pair in pairs]), mirrored)
        return self._pictures[1]

    def _texts(self, run: Run, device: torch.device) -> Iterator[Tensor]:
        model, last = run.module.model, run.config["trainer"]["max_epochs"] - 1
        captions = [caption for row in run.data.rows["val"] for caption in run.data.captions[row]]
        if run.module.plan.frozen_text_blocks(last) < len(model.text_encoder.blocks):
            for ids, mask in _tokens(run, captions, device):
                yield model.encode_text(ids, mask)
            return
        key = f"{self._data(run)} {digest_weights([model.text_encoder])} {device}"
        if self._captions[0] != key:
            features = [model.text_encoder(ids, mask) for ids, mask in _tokens(run, captions, device)]
            self._captions = key, torch.cat(features)
        yield model.encode_text_features(self._captions[1])

    @staticmethod
    def _data(run: Run) -> str:
        return f"{run.data.fingerprint} {hash(tuple(run.data.rows['val']))} {run.data.preprocess}"


def _pictures(run: Run, device: torch.device) -> Iterator[Tensor]:
    """The validation pictures in batches."""
    rows, source = run.data.rows["val"], run.data.pictures()
    for start in range(0, len(rows), PER_PASS):
        yield source.batch(rows[start : start + PER_PASS], []).to(device)


def _tokens(run: Run, captions: Sequence[str], device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Token ids and masks of captions in batches."""
    for start in range(0, len(captions), CAPTIONS):
        tokens = run.data.tokenizer(captions[start : start + CAPTIONS])
        yield torch.from_numpy(tokens.input_ids).to(device), torch.from_numpy(tokens.attention_mask).to(device)
