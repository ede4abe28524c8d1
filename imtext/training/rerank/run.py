"""Train a re-ranker for the dual encoder of a checkpoint."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from torch.utils.data import DataLoader

from imtext.config.instantiate import instantiate
from imtext.data import RetrievalDataModule
from imtext.evaluation.reranking import Gathered, SecondLook
from imtext.training.build import build_reranker
from imtext.training.callbacks import LastCheckpoint, ProgressBar, RunCheckpoint, StopWhenDiverged
from imtext.training.checkpoints import TrainedModel, part_of_state, read_checkpoint
from imtext.training.features import frozen_features
from imtext.training.rerank.batches import NeighbourSampler, RerankBatch, RerankDataset, loader
from imtext.training.rerank.embeddings import embeddings_of
from imtext.training.rerank.module import MONITOR, RerankModule, Saved
from imtext.training.rerank.neighbours import nearest_pictures, pictures_of_texts
from imtext.training.rerank.recipe import Recipe
from imtext.training.resume import epochs_done

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RerankRun:
    """What the training of a re-ranker needs.

    Attributes:
        trained: the dual encoder; it does not learn.
        content: its checkpoint.
        data: its data, after `setup`.
        settings: of the re-ranker, as plain values.
        recipe: of the training.
        trainer: settings of Lightning's trainer, with an existing device.
        loggers: trackers of the run.
        folder: of the checkpoints.
        facts: further entries of `checkpoint["imtext"]`.
        seed: of weights, order, negatives and dropout.
        resume: checkpoint of a re-ranker to go on from.
        progress: show a progress bar.
    """

    trained: TrainedModel
    content: Mapping[str, Any]
    data: RetrievalDataModule
    settings: Mapping[str, Any]
    recipe: Recipe
    trainer: Mapping[str, Any]
    loggers: Sequence[Logger]
    folder: Path
    facts: Mapping[str, Any]
    seed: int = 0
    resume: Path | None = None
    progress: bool = True

    @property
    def device(self) -> torch.device:
        """The device of the run."""
        return torch.device(str(self.trainer["accelerator"]))


def train_reranker(run: RerankRun) -> Path | None:
    """Train, and keep the best epoch by validation.

    Returns:
        The checkpoint with both models; None after a smoke test.

    Raises:
        ImtextError: a setting or the data is wrong; the message says how to fix it.
    """
    encoder = run.trained.model.to(run.device).image_encoder
    size = run.data.preprocess.image_size
    with torch.no_grad():
        encoder.tokens(torch.zeros(1, 3, size, size, device=run.device))  # refuses a tower without places
    torch.manual_seed(run.seed)
    reranker = build_reranker(run.settings, run.trained.model, run.trained.tokenizer.vocabulary)
    if (dim := reranker.wants_word_vectors) is not None:
        reranker.start_from(run.data.word_vectors(dim))
    batches = _batches(run, embeddings_of(run.trained, run.data, "train", run.device))
    saved = Saved(
        {f"model.{name}": value for name, value in part_of_state(run.content["state_dict"], "model.").items()},
        {**run.content["imtext"], "reranker": dict(run.settings), **run.facts},
    )
    module = RerankModule(reranker, run.recipe, _validation(run), saved, run.seed)
    trainer = _trainer(run)
    trainer.fit(module, batches, ckpt_path=run.resume, weights_only=True)
    best = run.folder / "best.ckpt"
    return None if trainer.fast_dev_run else best  # type: ignore[attr-defined]


def _batches(run: RerankRun, gathered: Gathered) -> DataLoader[RerankBatch]:
    """The training pictures with their captions, in groups that the dual encoder confuses."""
    images, texts, image_id, caption_image_id = gathered
    rows, recipe = image_id.tolist(), run.recipe
    own = torch.searchsorted(image_id.cpu(), caption_image_id.cpu())
    captions = [text for row in rows for text in run.data.captions[row]]
    same_text = pictures_of_texts(captions, own, run.trained.tokenizer)
    neighbours = nearest_pictures(images, texts, own, same_text, recipe.neighbours)
    encoder = run.trained.model.image_encoder
    pictures = frozen_features(encoder, len(encoder.blocks) - 1, recipe.views, run.data, run.device)
    tokenizer, per_picture = run.trained.tokenizer, recipe.captions_per_picture
    prefix = encoder.num_prefix_tokens
    dataset = RerankDataset(pictures, prefix, rows, captions, own, same_text, tokenizer, per_picture, run.seed)
    epoch = 0 if run.resume is None else epochs_done(read_checkpoint(run.resume))
    sampler = NeighbourSampler(neighbours, recipe.pictures_per_step, recipe.group, run.seed, epoch)
    automatic = 0 if run.device.type == "cpu" else min(4, os.cpu_count() or 1)
    return loader(dataset, sampler, automatic if run.data.num_workers == "auto" else run.data.num_workers)


def _validation(run: RerankRun) -> SecondLook:
    encoder = run.trained.model.image_encoder
    pictures = frozen_features(encoder, len(encoder.blocks) - 1, 1, run.data, run.device, "val")
    gathered = embeddings_of(run.trained, run.data, "val", run.device)
    return SecondLook(gathered, run.recipe.rerank_top_k, encoder, pictures, run.data.captions, run.trained.tokenizer)


def _trainer(run: RerankRun) -> Trainer:
    folder = str(run.folder)
    callbacks: list[Callback] = [
        StopWhenDiverged("rerank.lr", run.recipe.lr),
        RunCheckpoint(
            folder, "best", monitor=MONITOR, mode="max", save_weights_only=True, save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
        LastCheckpoint(folder),
    ]  # fmt: skip
    if run.progress:
        callbacks.append(ProgressBar(leave=False))
    # A re-ranker is validated outside of the trainer's precision, so its weights stay in single precision.
    precision = str(run.trainer.get("precision", "32-true")).replace("16-true", "16-mixed")
    settings = {**run.trainer, "precision": precision, **({} if run.progress else {"enable_progress_bar": False})}
    trainer: Trainer = instantiate(settings, callbacks=callbacks, logger=list(run.loggers) or False)
    return trainer
