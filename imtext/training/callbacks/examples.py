"""Pictures of retrieval results during training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from imtext.data.datamodule import RetrievalDataModule
from imtext.errors import ConfigError
from imtext.evaluation.panels import PanelRow, retrieval_panel
from imtext.evaluation.ranks import retrieval_ranks
from imtext.training.distributed import is_rank_zero
from imtext.training.module import RetrievalModule
from imtext.training.tracking import MLflowTracker

Direction = Literal["text_to_image", "image_to_text"]


class RetrievalExamples(Callback):
    """Draws the results of the same validation queries every few epochs.

    Args:
        output_dir: folder of the pictures, which are called `text_to_image_epoch_003.png` and the like.
        every_n_epochs: number of epochs between two pictures. The last epoch always has one.
        num_queries: number of rows of a picture.
        top_k: number of results in a row.

    Raises:
        ConfigError: `every_n_epochs` is below 1.
    """

    def __init__(self, output_dir: str, every_n_epochs: int = 5, num_queries: int = 6, top_k: int = 5) -> None:
        if every_n_epochs < 1:
            raise ConfigError(
                f"callbacks.examples.every_n_epochs={every_n_epochs}: it must be at least 1. For no examples, set "
                "callbacks.examples=null"
            )
        self.output_dir, self.every_n_epochs = Path(output_dir), every_n_epochs
        self.num_queries, self.top_k = num_queries, top_k

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the pictures if they are due in this epoch."""
        epoch = trainer.current_epoch + 1
        due = epoch % self.every_n_epochs == 0 or epoch == trainer.max_epochs
        if trainer.sanity_checking or trainer.state.fn != "fit" or not due:
            return
        assert isinstance(pl_module, RetrievalModule)
        data: RetrievalDataModule = trainer.datamodule  # type: ignore[attr-defined]
        with pl_module.val_metrics.sync_context():  # what all processes found
            found = self.rows(pl_module, data) if is_rank_zero() else {}
        for direction, rows in found.items():
            self.output_dir.mkdir(parents=True, exist_ok=True)
            panel = retrieval_panel(rows, f"{direction.replace('_', ' ')}, validation, after epoch {epoch}")
            panel.save(self.output_dir / f"{direction}_epoch_{epoch:03d}.png")
            for logger in trainer.loggers:
                if isinstance(logger, MLflowTracker):
                    logger.log_picture(panel, direction, epoch)

    def rows(self, module: RetrievalModule, data: RetrievalDataModule) -> dict[Direction, list[PanelRow]]:
        """Results of queries evenly spaced over the validation split."""
        images, texts, image_id, caption_image_id = module.val_metrics.gathered()
        ranks = retrieval_ranks(images, texts, image_id, caption_image_id)
        captions = [text for row in image_id.tolist() for text in data.captions[row]]
        by_text, by_image = [], []
        for query in self._spread_over(len(texts)):
            best = (images @ texts[query]).topk(min(self.top_k, len(images))).indices.tolist()
            pictures = [(data.picture(int(image_id[i])), bool(image_id[i] == caption_image_id[query])) for i in best]
            by_text.append(PanelRow(captions[query], pictures, int(ranks["t2i"][query])))
        for query in self._spread_over(len(images)):
            best = (texts @ images[query]).topk(min(self.top_k, len(texts))).indices.tolist()
            lines = [(captions[i], bool(caption_image_id[i] == image_id[query])) for i in best]
            by_image.append(PanelRow(data.picture(int(image_id[query])), lines, int(ranks["i2t"][query])))
        return {"text_to_image": by_text, "image_to_text": by_image}

    def _spread_over(self, size: int) -> list[int]:
        """At most `num_queries` positions between 0 and size - 1."""
        positions: list[int] = torch.linspace(0, size - 1, min(self.num_queries, size)).long().tolist()
        return positions
