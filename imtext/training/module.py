"""The Lightning module: dual encoder, loss, metrics and optimizer."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from imtext.data.batch import Batch
from imtext.errors import CheckpointError
from imtext.evaluation.definitions import spread
from imtext.evaluation.metrics import RetrievalMetrics
from imtext.losses import Loss, PairwiseLoss, Targets, total_loss
from imtext.models import DualEncoder
from imtext.preprocess import Preprocess
from imtext.preprocess.tokenizer import Tokenizer
from imtext.training.build import settings_without_files
from imtext.training.checkpoints import FORMAT, RERANKER
from imtext.training.distributed import gather, rank, world_size
from imtext.training.grad_cache import in_chunks, number_of_chunks
from imtext.training.optim import AdamW
from imtext.training.ring import ring_loss
from imtext.training.sharding import clip_gradients, is_sharded
from imtext.training.stages import Plan
from imtext.training.targets import targets_of


class RetrievalModule(LightningModule):
    """Trains a `DualEncoder` and measures it as a search engine.

    Args:
        model: the two towers.
        loss: all its terms are minimised; its parameters are trained with the model.
        optim: the optimizer recipe.
        tokenizer: tokenizer with the vocabulary that `model` was built for; saved in the checkpoint.
        preprocess: preprocessing of pictures; saved in the checkpoint.
        plan: the blocks of the towers that learn in each epoch.
        config: the resolved configuration in plain values; saved in the checkpoint, so that nothing else is needed to
            rebuild the model.
        seed: seed of the run.
        grad_cache: pictures, with their captions, per forward pass in training; None for the whole batch.

    Attributes:
        run_ids: tracker → id of the run, to continue the same run on resume; saved in the checkpoint.
        overrides: command-line overrides, saved in the checkpoint and repeated on resume; None without a command line.
    """

    model: DualEncoder

    def __init__(
        self,
        model: DualEncoder,
        loss: Loss,
        optim: AdamW,
        tokenizer: Tokenizer,
        preprocess: Preprocess,
        plan: Plan,
        config: dict[str, Any] | None = None,
        seed: int = 0,
        grad_cache: int | None = None,
    ) -> None:
        super().__init__()
        self.model, self.loss, self.optim = model, loss, optim
        self.tokenizer, self.preprocess, self.plan = tokenizer, preprocess, plan
        self.config, self.seed, self.grad_cache = config or {}, seed, grad_cache
        self.run_ids: dict[str, str] = {}
        self.overrides: list[str] | None = None
        self.val_metrics, self.test_metrics = RetrievalMetrics(), RetrievalMetrics()
        if not loss.uses_logit_scale:
            model.logit_scale.requires_grad_(False)

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Unit embeddings of a batch: images ``[B, D]``, captions ``[N, D]``."""
        chunks = number_of_chunks(len(batch["image"]), self.grad_cache)
        encode_image = partial(self.model.encode_image, first_block=batch["first_block"])
        images = in_chunks(encode_image, chunks, batch["image"])
        if "text_features" in batch:
            return images, in_chunks(self.model.encode_text_features, chunks, batch["text_features"])
        return images, in_chunks(self.model.encode_text, chunks, batch["input_ids"], batch["attention_mask"])

    # ---- training

    def on_fit_start(self) -> None:
        """Drop a correction of hubs that was fitted to the weights of an earlier run."""
        if self.model.hubness is not None:
            self.model.hubness.reset()

    def on_train_epoch_start(self) -> None:
        """Freeze the blocks that the plan names for this epoch. It depends only on the epoch, so resuming is safe."""
        if self.current_epoch + 1 == self.trainer.max_epochs:
            self.trainer.check_val_every_n_epoch = 1  # the last epoch is always measured, whatever the interval
        self.model.image_encoder.freeze(self.plan.frozen_blocks(self.current_epoch))
        self.model.text_encoder.freeze(self.plan.frozen_text_blocks(self.current_epoch))
        if self.model.text_encoder.wants_captions and not self.plan.caches_text(self.current_epoch):
            self._read_captions()

    def _read_captions(self) -> None:
        """Let a text tower read all training captions, in the precision of the run; not for a few batches of them."""
        if self.trainer.fast_dev_run or self.trainer.limit_train_batches != 1.0:  # type: ignore[attr-defined]
            return
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        captions = [caption for row in data.rows["train"] for caption in data.captions[row]]
        with self.trainer.precision_plugin.forward_context():
            self.model.text_encoder.read(*map(torch.from_numpy, self.tokenizer(captions)))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Tell the step to dropout and loss. Only seed and step count, so a resumed run equals an uninterrupted one.

        Processes that train together have different dropout.
        """
        step = self.global_step * 1_009 + batch_idx + rank() * 1_000_000_007
        torch.manual_seed((self.seed * 1_000_003 + step) % 2**63)
        self.loss.advance(self.global_step / self.trainer.estimated_stepping_batches)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One training step, with the captions and images of all processes as negatives."""
        images, texts = self.embed(batch)
        if isinstance(self.loss, PairwiseLoss) and world_size() > 1:
            terms, chance = ring_loss(self.loss, images, texts, batch, self.model.logit_scale)
            targets = targets_of(batch, everywhere=False)
        else:
            images, texts, targets = gather(images), gather(texts), targets_of(batch)
            terms, chance = self.loss(images, texts, targets, self.model.logit_scale), self.loss.chance(targets)
        loss = total_loss(terms)
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=len(images))
        health = self._health(images, texts, targets) | {"chance_loss": chance}
        if len(terms) > 1:
            health |= terms
        named = {f"train/{name}": value for name, value in health.items()}
        several = world_size() > 1
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(images), sync_dist=several)
        return loss

    @torch.no_grad()
    def _health(self, images: Tensor, texts: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Metrics that show whether a model learns: the loss must fall below chance, embeddings must not collapse."""
        similarity = images @ texts.T
        others = similarity[~targets.positive]  # none if all images share their captions
        return {
            "positive_similarity": similarity[targets.positive].mean(),
            "negative_similarity": others.mean() if len(others) else others.sum(),
            "image_spread": spread(images),
            "text_spread": spread(texts),
            "temperature": 1 / self.model.logit_scale.exp(),
        }

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Keep the temperature and the parameters of the loss in bounds."""
        self.model.clamp_logit_scale()
        self.loss.clamp()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients; Lightning cannot if they are divided among processes."""
        if gradient_clip_val and is_sharded(self):
            clip_gradients(self, gradient_clip_val, gradient_clip_algorithm or "norm")
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> Any:
        """The optimizer, with its schedule over all steps of the run."""
        steps = int(self.trainer.estimated_stepping_batches)
        optimizer, schedule = self.optim.build(self.model, self.loss, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # ---- evaluation

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect embeddings, and log the loss, which shows overfitting."""
        images, texts = self._collect(self.val_metrics, batch)
        terms = self.loss(images, texts, targets_of(batch, everywhere=False), self.model.logit_scale)
        self.log("val/loss", total_loss(terms), batch_size=len(images), sync_dist=world_size() > 1)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect embeddings."""
        self._collect(self.test_metrics, batch)

    def _collect(self, metrics: RetrievalMetrics, batch: Batch) -> tuple[Tensor, Tensor]:
        images, texts = self.embed(batch)
        metrics.update(images, texts, batch["image_id"], batch["caption_image_id"], batch["caption_text_id"])
        return images, texts

    def on_validation_epoch_end(self) -> None:
        """Rank all pictures and captions of the validation split."""
        self._report("val", self.val_metrics)

    def on_test_epoch_end(self) -> None:
        """Rank all pictures and captions of the test split."""
        self._report("test", self.test_metrics)

    def _report(self, split: str, metrics: RetrievalMetrics) -> None:
        values = metrics.compute()
        if self.trainer.state.fn != "fit":  # too slow for every epoch
            with metrics.sync_context():  # `compute` has given up what other processes found
                values |= metrics.intervals()
        for name, value in values.items():
            self.log(f"{split}/{name}", value, prog_bar=name == "rsum")
        metrics.reset()

    # ---- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add, in plain values, everything that is needed to rebuild the model."""
        checkpoint["imtext"] = {
            "format": FORMAT,
            "config": self.config,
            "model": settings_without_files(self.model, self.config["model"]) if "model" in self.config else {},
            "tokenizer": self.tokenizer.to_json(),
            "vocabulary": self.tokenizer.vocabulary.to_dict(),
            "preprocess": self.preprocess.to_dict(),
            "run_ids": self.run_ids,
            "overrides": self.overrides,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint with another tokenizer, whose token ids would mean other words; drop a re-ranker."""
        if checkpoint["imtext"]["tokenizer"] != self.tokenizer.to_json():
            raise CheckpointError(
                "The checkpoint was trained with another vocabulary. Resume with the data settings of that run: "
                "`python -m imtext.train ckpt_path=<…>` restores them."
            )
        state = checkpoint["state_dict"]  # the best one may hold a re-ranker, which is trained again afterwards
        checkpoint["state_dict"] = {name: value for name, value in state.items() if not name.startswith(RERANKER)}
