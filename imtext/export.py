"""From a checkpoint to a bundle: two ONNX graphs that give the answers torch gives, checked before they are kept."""

from __future__ import annotations

import io
import json
import logging
import math
import shutil
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

import imtext
from imtext.config.launch import compose_config
from imtext.config.schema import instantiate
from imtext.errors import BundleError
from imtext.evaluate import data_config
from imtext.models import DualEncoder
from imtext.preprocess import Preprocess
from imtext.search.bundle import IMAGE_GRAPH, TEXT_GRAPH, TOKENIZER, Bundle, write_bundle
from imtext.search.calibration import calibrate
from imtext.search.encoder import Embeddings, Encoder
from imtext.training.checkpoints import TrainedModel, find_checkpoint, load_model
from imtext.training.tracking import source_tags

if TYPE_CHECKING:
    from imtext.data import RetrievalDataModule

log = logging.getLogger(__name__)

OPSET = 20
MIN_COSINE = 0.9999
TOP_K = 10
TIE = 1e-5  # scores closer than this may change places: both are roundings of the same number
MAX_PICTURES = 1_000  # of validation that are compared


def export(
    trained: TrainedModel, data: RetrievalDataModule, folder: Path, metrics: dict[str, float], tags: dict[str, str]
) -> Bundle:
    """Write a bundle and prove it on validation pictures and captions.

    Args:
        trained: the model, in evaluation mode on the CPU.
        data: of its training, set up; relevance is learnt from its validation split.
        folder: for the bundle.
        metrics: to be written down.
        tags: where it came from: run, commit, data fingerprint.

    Raises:
        BundleError: ONNX and torch disagree, or the folder holds something else. No bundle is left behind.
    """
    model, preprocess = trained.model.eval(), trained.preprocess
    files = {
        IMAGE_GRAPH: _graph(
            _ImageGraph(model, preprocess),
            {"image": torch.zeros(2, preprocess.image_size, preprocess.image_size, 3, dtype=torch.uint8)},
            {"image": ("batch",)},
            "image_embeddings",
        ),
        TEXT_GRAPH: _graph(
            _TextGraph(model),
            {"input_ids": torch.ones(2, 5, dtype=torch.long), "attention_mask": torch.ones(2, 5, dtype=torch.bool)},
            {"input_ids": ("batch", "length"), "attention_mask": ("batch", "length")},
            "text_embeddings",
        ),
        TOKENIZER: trained.tokenizer.to_json().encode(),
    }
    towers = trained.config.get("model", {})
    facts = {
        "name": "-".join(
            str(towers.get(tower, {}).get("_target_", "?")).rsplit(".", 1)[-1]
            for tower in ("image_encoder", "text_encoder")
        ),
        "imtext": imtext.__version__,
        "embed_dim": model.embed_dim,
        "mirror": model.mirror,
        "preprocess": preprocess.to_dict(),
        "calibration": None,
        "metrics": {name: value for name, value in sorted(metrics.items()) if math.isfinite(value)},
        "tags": tags,
    }
    trial = folder.with_name(f".{folder.name}.trial")
    bundle = write_bundle(trial, files, facts)
    try:
        scores, answers = verify(bundle, trained, data)
        try:
            facts["calibration"] = calibrate(scores, answers).to_dict()
        except ValueError as error:
            log.warning("Results will carry scores only, no relevance: %s", error)
        return write_bundle(folder, files, facts)
    finally:
        shutil.rmtree(trial)


def verify(
    bundle: Bundle, trained: TrainedModel, data: RetrievalDataModule
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Compare a bundle with the model it came from, on real inputs.

    Returns:
        The bundle's scores ``[N, B]`` of validation's captions and pictures, and each caption's picture ``[N]``.

    Raises:
        BundleError: a cosine below `MIN_COSINE`, or another top ten.
    """
    encoder = Encoder(bundle)
    rows = data.rows["val"][:MAX_PICTURES]
    captions = [caption for row in rows for caption in data.captions[row]]
    answers = np.repeat(np.arange(len(rows)), [len(data.captions[row]) for row in rows])
    pixels = [data.pixels[row] for row in rows]
    ours = encoder.encode_images(pixels), encoder.encode_texts(captions)
    theirs = _torch_embeddings(trained, pixels, captions)
    for tower, mine, reference in zip(("image", "text"), ours, theirs, strict=True):
        cosine = float((mine * reference).sum(axis=1).min())
        if not cosine >= MIN_COSINE:
            raise BundleError(
                f"The exported {tower} graph is not the model that was trained: cosine {cosine:.6f} at worst"
            )
    scores, expected = ours[1] @ ours[0].T, theirs[1] @ theirs[0].T
    for mine, reference in zip(scores, expected, strict=True):
        top, wanted = (np.argsort(-line, kind="stable")[:TOP_K] for line in (mine, reference))
        # The same pictures at the same places, but for ties.
        if (np.abs(reference[top] - reference[wanted]) > TIE).any():
            raise BundleError("The exported model ranks pictures in another order than the one that was trained")
    return scores, answers


def _torch_embeddings(
    trained: TrainedModel, pixels: list[npt.NDArray[np.uint8]], captions: list[str]
) -> tuple[Embeddings, Embeddings]:
    graph, batch = _ImageGraph(trained.model, trained.preprocess), 64
    with torch.inference_mode():
        images = [graph(torch.from_numpy(np.stack(pixels[at : at + batch]))) for at in range(0, len(pixels), batch)]
        tokens = [trained.tokenizer(captions[at : at + batch]) for at in range(0, len(captions), batch)]
        texts = [trained.model.encode_text(torch.from_numpy(ids), torch.from_numpy(mask)) for ids, mask in tokens]
    return torch.cat(images).numpy(), torch.cat(texts).numpy()


class _ImageGraph(nn.Module):
    """``[B, S, S, 3]`` uint8 → ``[B, embed_dim]``: scaling and normalising are part of the graph."""

    def __init__(self, model: DualEncoder, preprocess: Preprocess) -> None:
        super().__init__()
        self.model = model
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(preprocess.image_mean) * 255)
        self.register_buffer("std", torch.tensor(preprocess.image_std) * 255)

    def forward(self, image: Tensor) -> Tensor:
        normalized = (image.to(torch.float32) - self.mean) / self.std
        return self.model.encode_image(normalized.permute(0, 3, 1, 2))


class _TextGraph(nn.Module):
    """Tokens and mask ``[N, L]`` → ``[N, embed_dim]``."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model.encode_text(input_ids, attention_mask)


def _graph(module: nn.Module, inputs: dict[str, Tensor], dynamic: dict[str, tuple[str, ...]], output: str) -> bytes:
    """Trace a module; the dimensions named in `dynamic`, from the first on, may take any size."""
    sizes = {name: torch.export.Dim(name) for names in dynamic.values() for name in names}
    shapes = {name: {place: sizes[size] for place, size in enumerate(names)} for name, names in dynamic.items()}
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # about the exporter's own insides
        talkative = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")
        levels = {name: logging.getLogger(name).level for name in talkative}
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            program: Any = torch.onnx.export(
                module.eval(), args=(), kwargs=inputs, dynamo=True, dynamic_shapes=shapes, opset_version=OPSET,
                input_names=list(inputs), output_names=[output], verbose=False,
            )  # fmt: skip
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
    return bytes(program.model_proto.SerializeToString())


def export_run(wanted: str, output: Path | None, overrides: Sequence[str] = ()) -> Bundle:
    """What training does at its end, for a checkpoint of any time.

    Args:
        wanted: a checkpoint, a run's folder, or `last` / `best` of the newest run.
        output: folder for the bundle; None: `bundle/` in the run's folder.
        overrides: of the training's data settings, such as ``data.path=…`` where the data has moved.

    Raises:
        ImtextError: no checkpoint, no data, or the export does not agree with the model.
    """
    config = compose_config("evaluate", [f"ckpt_path={wanted!r}", *overrides])
    checkpoint = find_checkpoint(wanted, Path(config.paths.runs_dir))
    trained = load_model(checkpoint)
    data: RetrievalDataModule = instantiate(data_config(config.data, trained.config))
    data.use_model(trained.preprocess, trained.tokenizer)
    data.setup()
    data.require("val")
    run_dir = checkpoint.parent.parent
    measured = run_dir / "metrics.json"
    metrics = json.loads(measured.read_text()) if measured.is_file() else {}
    known = {name: float(value) for name, value in metrics.items() if value is not None}
    tags = {"data_fingerprint": data.fingerprint, "data_source": data.source, "checkpoint": str(checkpoint)}
    return export(trained, data, output or run_dir / "bundle", known, {**source_tags(), **tags})
