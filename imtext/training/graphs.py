"""The towers of a dual encoder, and its re-ranker, as ONNX graphs."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn

from imtext.errors import BundleError
from imtext.models import DualEncoder
from imtext.models.reranker import Reranker
from imtext.preprocess import Preprocess

OPSET = 20
MAX_BYTES = 2**31 - 2**24  # protocol buffers end at 2 GiB; the rest is for everything but weights
EXPORTER_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")


class ImageGraph(nn.Module):
    """``[B, S, S, 3]`` uint8 → ``[B, embed_dim]``: scaling and normalising are part of the graph."""

    def __init__(self, model: DualEncoder, preprocess: Preprocess) -> None:
        super().__init__()
        self.model = model
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(preprocess.image_mean) * 255)
        self.register_buffer("std", torch.tensor(preprocess.image_std) * 255)

    def forward(self, image: Tensor) -> Tensor:
        """Embed pictures."""
        return self.model.encode_image(self.normalize(image))

    def normalize(self, image: Tensor) -> Tensor:
        """``[B, S, S, 3]`` uint8 → ``[B, 3, S, S]`` float32, as the image tower takes it."""
        normalized = (image.to(torch.float32) - self.mean) / self.std
        return normalized.permute(0, 3, 1, 2)


class GridGraph(nn.Module):
    """``[B, S, S, 3]`` uint8 → ``[B, embed_dim]``, and the grids of a re-ranker ``[B, P, grid_dim]`` float16."""

    def __init__(self, model: DualEncoder, preprocess: Preprocess, reranker: Reranker) -> None:
        super().__init__()
        self.image, self.reranker = ImageGraph(model, preprocess), reranker

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Embed pictures and project their places, in one run of the image tower."""
        embeddings, tokens = self.image.model.encode_image_and_tokens(self.image.normalize(image))
        return embeddings, self.reranker.project(tokens).to(torch.float16)


class RerankerGraph(nn.Module):
    """Scores K candidates for one text again."""

    def __init__(self, reranker: Reranker) -> None:
        super().__init__()
        self.reranker = reranker

    def forward(self, grid: Tensor, input_ids: Tensor, attention_mask: Tensor, similarity: Tensor) -> Tensor:
        """Grids ``[K, P, grid_dim]`` float16, token ids and mask ``[1, L]``, similarity ``[K]`` → scores ``[K]``."""
        scores: Tensor = self.reranker(grid.to(torch.float32)[None], input_ids, attention_mask, similarity[None])
        return scores[0]


class TextGraph(nn.Module):
    """Token ids and mask ``[N, L]`` → ``[N, embed_dim]``."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embed texts."""
        return self.model.encode_text(input_ids, attention_mask)


def trace_image_graph(model: DualEncoder, preprocess: Preprocess, reranker: Reranker | None = None) -> bytes:
    """ONNX graph `image` ``[batch, S, S, 3]`` uint8 → `image_embeddings` ``[batch, embed_dim]``.

    With a re-ranker there is a second output, `grid` ``[batch, P, grid_dim]`` float16.
    """
    _check_size("image tower", model.image_encoder, model.image_projection)
    size = preprocess.image_size
    inputs = {"image": torch.zeros(2, size, size, 3, dtype=torch.uint8)}
    if reranker is not None:
        graph = GridGraph(model, preprocess, reranker)
        return _trace(graph, inputs, {"image": ("batch",)}, "image_embeddings", "grid")
    return _trace(ImageGraph(model, preprocess), inputs, {"image": ("batch",)}, "image_embeddings")


def trace_text_graph(model: DualEncoder) -> bytes:
    """ONNX graph `input_ids`, `attention_mask` ``[batch, length]`` → `text_embeddings` ``[batch, embed_dim]``."""
    _check_size("text tower", model.text_encoder, model.text_projection)
    inputs = {"input_ids": torch.ones(2, 5, dtype=torch.long), "attention_mask": torch.ones(2, 5, dtype=torch.bool)}
    return _trace(TextGraph(model), inputs, dict.fromkeys(inputs, ("batch", "length")), "text_embeddings")


def trace_reranker_graph(reranker: Reranker, places: int) -> bytes:
    """ONNX graph of a re-ranker, for the candidates of one text → `scores` ``[candidates]``.

    Its inputs are `grid` ``[candidates, P, grid_dim]`` float16, `input_ids` and `attention_mask` ``[1, length]``, and
    `similarity` ``[candidates]``.

    Args:
        reranker: in evaluation mode.
        places: the number P of places in a grid.
    """
    _check_size("re-ranker", reranker)
    inputs = {
        "grid": torch.zeros(2, places, reranker.grid_dim, dtype=torch.float16),
        "input_ids": torch.ones(1, 5, dtype=torch.long),
        "attention_mask": torch.ones(1, 5, dtype=torch.bool),
        "similarity": torch.zeros(2),
    }
    dynamic = {"grid": ("candidates",), "input_ids": (None, "length"), "attention_mask": (None, "length"),
               "similarity": ("candidates",)}  # fmt: skip
    return _trace(RerankerGraph(reranker), inputs, dynamic, "scores")


def _check_size(name: str, *parts: nn.Module) -> None:
    """Refuse a network that no single ONNX file can hold, before minutes are spent on tracing it.

    Raises:
        BundleError: the weights have more than `MAX_BYTES`.
    """
    size = sum(value.numel() * value.element_size() for part in parts for value in part.state_dict().values())
    if size > MAX_BYTES:
        raise BundleError(
            f"The {name} has {size / 1e9:.1f} GB of weights, and an ONNX file holds at most 2 GB. Take a "
            "smaller model, such as a ViT-L/14 or a ViT-B/16"
        )


def _trace(
    module: nn.Module, inputs: dict[str, Tensor], dynamic: Mapping[str, tuple[str | None, ...]], *outputs: str
) -> bytes:
    """Trace a module; the leading dimensions named in `dynamic` may take any size."""
    sizes = {name: torch.export.Dim(name) for names in dynamic.values() for name in names if name}
    shapes = {name: {at: sizes[size] for at, size in enumerate(names) if size} for name, names in dynamic.items()}
    with _quiet_exporter():
        program: Any = torch.onnx.export(
            module.eval(), args=(), kwargs=inputs, dynamo=True, dynamic_shapes=shapes, opset_version=OPSET,
            input_names=list(inputs), output_names=list(outputs), verbose=False,
        )  # fmt: skip
    return bytes(program.model_proto.SerializeToString())


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hide what the exporter prints, logs and warns about its own internals."""
    loggers = [logging.getLogger(name) for name in EXPORTER_LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
