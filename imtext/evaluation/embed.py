"""Embed a split, or given pictures and captions, with a trained model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track

from imtext.data.batch import Batch
from imtext.evaluation.metrics import RetrievalMetrics
from imtext.models import DualEncoder
from imtext.preprocess import Pixels
from imtext.preprocess.tokenizer import Tokenizer

Embeddings = npt.NDArray[np.float32]
BATCH = 64


@torch.inference_mode()
def embed_split(model: DualEncoder, batches: Iterable[Batch], device: torch.device, title: str) -> RetrievalMetrics:
    """Embed all images and captions of a split.

    Args:
        model: in evaluation mode; is moved to `device`.
        batches: batches of the split, with all captions of each image.
        device: device to compute on.
        title: title of the progress bar.

    Returns:
        Metrics that hold the embeddings, ready to be computed.
    """
    model, metrics = model.to(device), RetrievalMetrics().to(device)
    for batch in track(batches, description=title, transient=True):
        metrics.update(
            model.encode_image(batch["image"].to(device)),
            model.encode_text(batch["input_ids"].to(device), batch["attention_mask"].to(device)),
            batch["image_id"].to(device),
            batch["caption_image_id"].to(device),
        )
    return metrics


@torch.inference_mode()
def embed_pixels(image_graph: torch.nn.Module, pixels: Sequence[Pixels]) -> Embeddings:
    """B pictures ``[S, S, 3]`` uint8 → ``[B, embed_dim]``, with the module that an image graph is traced from."""
    starts = range(0, len(pixels), BATCH)
    parts = [image_graph(torch.from_numpy(np.stack(pixels[at : at + BATCH]))) for at in starts]
    return np.asarray(torch.cat(parts).numpy())


@torch.inference_mode()
def embed_captions(model: DualEncoder, tokenizer: Tokenizer, captions: Sequence[str]) -> Embeddings:
    """N captions → ``[N, embed_dim]``."""
    parts = []
    for start in range(0, len(captions), BATCH):
        ids, mask = tokenizer(captions[start : start + BATCH])
        parts.append(model.encode_text(torch.from_numpy(ids), torch.from_numpy(mask)))
    return np.asarray(torch.cat(parts).numpy())
