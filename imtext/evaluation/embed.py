"""Embed a split, or given pictures and captions, with a trained model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

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
            batch["caption_text_id"].to(device),
        )
    return metrics


@torch.inference_mode()
def embed_pixels(image_graph: torch.nn.Module, pixels: Sequence[Pixels]) -> Embeddings:
    """B pictures ``[S, S, 3]`` uint8 → ``[B, embed_dim]``, with the module that an image graph is traced from."""
    return np.asarray(torch.cat([image_graph(batch) for batch in _batches(pixels)]).numpy())


@torch.inference_mode()
def embed_pixels_and_grids(
    grid_graph: torch.nn.Module, pixels: Sequence[Pixels]
) -> tuple[Embeddings, npt.NDArray[np.float16]]:
    """Like `embed_pixels`, with the module of a re-ranker; also the grids ``[B, P, grid_dim]``."""
    embeddings, grids = zip(*(grid_graph(batch) for batch in _batches(pixels)), strict=True)
    return np.asarray(torch.cat(embeddings).numpy()), np.asarray(torch.cat(grids).numpy())


def _batches(pixels: Sequence[Pixels]) -> Iterator[torch.Tensor]:
    return (torch.from_numpy(np.stack(pixels[at : at + BATCH])) for at in range(0, len(pixels), BATCH))


@torch.inference_mode()
def embed_captions(model: DualEncoder, tokenizer: Tokenizer, captions: Sequence[str]) -> Embeddings:
    """N captions → ``[N, embed_dim]``."""
    parts = []
    for start in range(0, len(captions), BATCH):
        ids, mask = tokenizer(captions[start : start + BATCH])
        parts.append(model.encode_text(torch.from_numpy(ids), torch.from_numpy(mask)))
    return np.asarray(torch.cat(parts).numpy())
