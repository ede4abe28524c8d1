"""The training task: dual encoder + loss + metrics + optimizer."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule
from omegaconf import DictConfig
from torch import Tensor, nn

from imtext.config.schema import instantiate
from imtext.data.batch import Batch
from imtext.data.datamodule import RetrievalDataModule
from imtext.errors import CheckpointError
from imtext.evaluation.metrics import RetrievalMetrics
from imtext.losses.infonce import chance_loss, spread, total_loss
from imtext.models import DualEncoder, LSTMEncoder
from imtext.preprocess import Preprocess
from imtext.tokenizer import Tokenizer
from imtext.training.optim import AdamW
from imtext.training.stages import Plan

FORMAT = 1  # of what we add to a checkpoint


def build_model(settings: DictConfig, data: RetrievalDataModule) -> DualEncoder:
    """The towers for a data set, with as many word embeddings as its vocabulary has words.

    Args:
        settings: of the model; its `vocab_size` is filled in.
        data: already set up.
    """
    settings.text_encoder.vocab_size = data.tokenizer.vocabulary.size
    model: DualEncoder = instantiate(settings)
    if isinstance(words := model.text_encoder, LSTMEncoder) and words.word_init == "lsa":
        words.start_from(data.word_vectors(words.word_embedding.embedding_dim))
    return model


class RetrievalModule(LightningModule):
    """Trains a `DualEncoder` and measures it as a search engine.

    Args:
        model: the two towers.
        loss: called with embeddings, ids and the logit scale; returns terms whose names end in `loss`.
        optim: the optimizer recipe.
        tokenizer: the vocabulary `model` was built for; travels inside the checkpoint.
        preprocess: how pictures are prepared; travels inside the checkpoint.
        plan: which blocks of the image tower learn in which epoch.
        config: the resolved configuration in plain values; travels inside the checkpoint, so that nothing else
            is needed to rebuild the model.
        seed: of the training.
    """

    model: DualEncoder

    def __init__(
        self,
        model: DualEncoder,
        loss: nn.Module,
        optim: AdamW,
        tokenizer: Tokenizer,
        preprocess: Preprocess,
        plan: Plan,
        config: dict[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model, self.loss, self.optim = model, loss, optim
        self.tokenizer, self.preprocess, self.plan = tokenizer, preprocess, plan
        self.config, self.seed = config or {}, seed
        self.run_ids: dict[str, str] = {}  # of trackers, to be found again on resume
        self.overrides: list[str] | None = None  # of the command line, to go on with; None: it was none
        self.val_metrics, self.test_metrics = RetrievalMetrics(), RetrievalMetrics()

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Unit embeddings of a batch: images ``[B, D]``, captions ``[N, D]``."""
        return self.model.encode_image(batch["image"], first_block=batch["first_block"]), self.model.encode_text(
            batch["input_ids"], batch["attention_mask"]
        )

    # ---- training

    def on_train_epoch_start(self) -> None:
        """Freeze what the stage wants frozen; known from the epoch alone, so that resuming needs no memory of it."""
        if self.current_epoch + 1 == self.trainer.max_epochs:
            self.trainer.check_val_every_n_epoch = 1  # the last epoch is always measured, whatever the interval
        self.model.image_encoder.freeze(self.plan.frozen_blocks(self.current_epoch))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Draw this step's dropout from the seed and the step: an interrupted run goes on as if it never stopped."""
        torch.manual_seed((self.seed * 1_000_003 + self.global_step * 1_009 + batch_idx) % 2**63)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step of contrastive learning."""
        images, texts = self.embed(batch)
        ids, caption_ids = batch["image_id"], batch["caption_image_id"]
        terms: dict[str, Tensor] = self.loss(images, texts, ids, caption_ids, self.model.logit_scale)
        loss = total_loss(terms)
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=len(ids))
        with torch.no_grad():
            matching = ids[:, None] == caption_ids[None, :]
            similarity = images @ texts.T
            health = {
                "chance_loss": chance_loss(self.loss, ids, caption_ids),
                "positive_similarity": similarity[matching].mean(),
                "negative_similarity": similarity[~matching].mean(),
                "image_spread": spread(images),
                "text_spread": spread(texts),
                "temperature": 1 / self.model.logit_scale.exp(),
            }
            if len(terms) > 1:
                health |= terms
        self.log_dict(
            {f"train/{name}": value for name, value in health.items()},
            on_step=False,
            on_epoch=True,
            batch_size=len(ids),
        )
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Keep the temperature in bounds."""
        self.model.clamp_logit_scale()

    def configure_optimizers(self) -> Any:
        """The recipe, spread over all steps of the training."""
        optimizer, schedule = self.optim.build(self.model, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # ---- evaluation

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect embeddings; log the loss too, to see over-fitting."""
        images, texts = self._collect(self.val_metrics, batch)
        terms = self.loss(images, texts, batch["image_id"], batch["caption_image_id"], self.model.logit_scale)
        self.log("val/loss", total_loss(terms), batch_size=len(images))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect embeddings."""
        self._collect(self.test_metrics, batch)

    def _collect(self, metrics: RetrievalMetrics, batch: Batch) -> tuple[Tensor, Tensor]:
        images, texts = self.embed(batch)
        metrics.update(images, texts, batch["image_id"], batch["caption_image_id"])
        return images, texts

    def on_validation_epoch_end(self) -> None:
        """Rank everything against everything."""
        self._report("val", self.val_metrics)

    def on_test_epoch_end(self) -> None:
        """Rank everything against everything."""
        self._report("test", self.test_metrics)

    def _report(self, split: str, metrics: RetrievalMetrics) -> None:
        figures = metrics.compute()
        if self.trainer.state.fn != "fit":  # not of every epoch
            figures |= metrics.intervals()
        for name, value in figures.items():
            self.log(f"{split}/{name}", value, prog_bar=name == "rsum")
        metrics.reset()

    # ---- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add, in plain values, all that is needed to rebuild the model."""
        checkpoint["imtext"] = {
            "format": FORMAT,
            "config": self.config,
            "tokenizer": self.tokenizer.to_json(),
            "preprocess": self.preprocess.to_dict(),
            "run_ids": self.run_ids,
            "overrides": self.overrides,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another vocabulary: its word embeddings would mean other words."""
        if checkpoint["imtext"]["tokenizer"] != self.tokenizer.to_json():
            raise CheckpointError(
                "The checkpoint was trained with another vocabulary. Resume with the data settings of that run: "
                "`python -m imtext.train ckpt_path=<…>` alone brings them back."
            )
