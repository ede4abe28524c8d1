"""From a checkpoint to a bundle: trace both towers, prove that the graphs rank like the model, write the bundle."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import imtext
from imtext.config.compose import compose_config
from imtext.data import RetrievalDataModule
from imtext.evaluation.calibration import fit_calibration
from imtext.evaluation.embed import embed_captions, embed_pixels
from imtext.evaluation.proof import check_embeddings, check_ranking
from imtext.search.bundle import IMAGE, TEXT, Bundle, write_bundle
from imtext.search.encoder import Encoder
from imtext.training.checkpoints import TrainedModel, find_checkpoint, load_model
from imtext.training.graphs import ImageGraph, trace_image_graph, trace_text_graph
from imtext.training.tracking import source_tags
from imtext.training.trained_data import build_data

log = logging.getLogger(__name__)

MAX_PICTURES = 1_000  # validation pictures that are compared


def export(
    trained: TrainedModel, data: RetrievalDataModule, folder: Path, metrics: Mapping[str, float], tags: dict[str, str]
) -> Bundle:
    """Write a bundle and prove it on validation pictures and captions.

    Args:
        trained: the model, in evaluation mode on the CPU.
        data: the data of its run, after `setup`; the calibration is fitted on its validation split.
        folder: folder to write the bundle to.
        metrics: recorded in the manifest.
        tags: recorded in the manifest: run, commit, data fingerprint.

    Raises:
        BundleError: ONNX and torch disagree, or the folder holds something else. No bundle is left behind.
    """
    for tower in (trained.model.image_encoder, trained.model.text_encoder):
        tower.merge_adapters()  # graphs have no adapters
    graphs = {
        IMAGE: trace_image_graph(trained.model, trained.preprocess),
        TEXT: trace_text_graph(trained.model),
    }
    facts = describe(trained, metrics, tags)
    trial = folder.with_name(f".{folder.name}.trial")
    bundle = write_bundle(trial, graphs, trained.tokenizer, facts)
    try:
        scores, answers = verify(bundle, trained, data)
        try:
            facts["calibration"] = fit_calibration(scores, answers).to_dict()
        except ValueError as error:
            log.warning("Results will have scores but no relevance: %s", error)
        return write_bundle(folder, graphs, trained.tokenizer, facts)
    finally:
        shutil.rmtree(trial)


def describe(trained: TrainedModel, metrics: Mapping[str, float], tags: Mapping[str, str]) -> dict[str, Any]:
    """The facts about a model that the manifest records, without calibration."""
    towers = trained.config.get("model", {})
    names = [str(towers.get(tower, {}).get("_target_", "?")) for tower in ("image_encoder", "text_encoder")]
    return {
        "name": "-".join(name.rsplit(".", 1)[-1] for name in names),
        "imtext": imtext.__version__,
        "embed_dim": trained.model.embed_dim,
        "mirror": trained.model.mirror,
        "parameters": {
            tower: sum(each.numel() for name, each in trained.model.named_parameters() if name.startswith(tower))
            for tower in ("image", "text")
        },
        "preprocess": trained.preprocess.to_dict(),
        "calibration": None,
        "metrics": {name: value for name, value in sorted(metrics.items()) if math.isfinite(value)},
        "tags": dict(tags),
    }


def verify(
    bundle: Bundle, trained: TrainedModel, data: RetrievalDataModule
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Compare a bundle with the model that it was exported from, on pictures and captions of the validation split.

    Returns:
        The bundle's scores ``[N, B]`` of captions and pictures, and the picture of each caption ``[N]``.

    Raises:
        BundleError: the embeddings differ, or the ranking does.
    """
    encoder = Encoder(bundle)
    rows = data.rows["val"][:MAX_PICTURES]
    captions = [caption for row in rows for caption in data.captions[row]]
    answers = np.repeat(np.arange(len(rows)), [len(data.captions[row]) for row in rows])
    pixels = [data.pixels[row] for row in rows]
    images, texts = encoder.encode_images(pixels), encoder.encode_texts(captions)
    trained_images = embed_pixels(ImageGraph(trained.model, trained.preprocess), pixels)
    trained_texts = embed_captions(trained.model, trained.tokenizer, captions)
    check_embeddings("image", images, trained_images)
    check_embeddings("text", texts, trained_texts)
    scores = texts @ images.T
    check_ranking(scores, trained_texts @ trained_images.T)
    return scores, answers


def export_run(wanted: str, output: Path | None, overrides: Sequence[str] = ()) -> Bundle:
    """Export a checkpoint after its run, as training does when it ends.

    Args:
        wanted: a checkpoint, a run's folder, or `last` / `best` of the newest run.
        output: folder for the bundle; None: `bundle/` in the run's folder.
        overrides: overrides of the run's data settings, such as ``data.path=…`` if the data has moved.

    Raises:
        ImtextError: the checkpoint or the data is missing, or the export does not agree with the model.
    """
    config = compose_config("evaluate", [f"ckpt_path={wanted!r}", *overrides])
    checkpoint = find_checkpoint(wanted, Path(config.paths.runs_dir))
    trained = load_model(checkpoint)
    data = build_data(config.data, trained)
    data.require("val")
    run_dir = checkpoint.parent.parent
    measured = run_dir / "metrics.json"
    metrics = json.loads(measured.read_text()) if measured.is_file() else {}
    known = {name: float(value) for name, value in metrics.items() if value is not None}
    tags = {"data_fingerprint": data.fingerprint, "data_source": data.source, "checkpoint": str(checkpoint)}
    return export(trained, data, output or run_dir / "bundle", known, {**source_tags(), **tags})
