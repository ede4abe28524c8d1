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
from imtext.data.scenes import describe as describe_scene
from imtext.data.scenes import draw, random_scene
from imtext.evaluation.calibration import fit_calibration
from imtext.evaluation.embed import embed_captions, embed_pixels
from imtext.evaluation.proof import check_embeddings, check_ranking
from imtext.preprocess import Pixels
from imtext.search.bundle import IMAGE, TEXT, Bundle, write_bundle
from imtext.search.encoder import Encoder
from imtext.training.build import TOWERS, is_in_towers
from imtext.training.checkpoints import TrainedModel, find_checkpoint, load_model
from imtext.training.graphs import ImageGraph, trace_image_graph, trace_text_graph
from imtext.training.pretrained import load_pretrained
from imtext.training.tracking import source_tags
from imtext.training.trained_data import build_data

log = logging.getLogger(__name__)

MAX_PICTURES = 1_000  # validation pictures that are compared
DRAWINGS = 32  # drawn pictures that are compared if there is no data


def export(
    trained: TrainedModel,
    data: RetrievalDataModule | None,
    folder: Path,
    metrics: Mapping[str, float],
    tags: dict[str, str],
) -> Bundle:
    """Write a bundle and prove it on validation pictures and captions.

    Args:
        trained: the model, in evaluation mode on the CPU.
        data: the data of its run, after `setup`; the calibration is fitted on its validation split. None proves the
            bundle on drawings, and leaves it without calibration.
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
        if data is None:
            verify_on_drawings(bundle, trained)
        else:
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
    return {
        "name": name_of(trained.config.get("model", {})),
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


def name_of(model: Mapping[str, Any]) -> str:
    """The name of a model in manifests: the classes of its towers, or the name of a whole pretrained model."""
    if model.get("name") and not is_in_towers(model):
        path = Path(model["name"].removeprefix("hf-hub:"))
        # ViT-B-32/laion2b_s34b_b79k and openai/clip-vit-base-patch32 need both parts, a folder its last one.
        return path.name if path.is_absolute() or path.exists() else "-".join(path.parts)
    names = [str(model.get(tower, {}).get("_target_", "?")) for tower in TOWERS]
    return "-".join(name.rsplit(".", 1)[-1] for name in names)


def verify(
    bundle: Bundle, trained: TrainedModel, data: RetrievalDataModule
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Compare a bundle with the model that it was exported from, on pictures and captions of the validation split.

    Returns:
        The bundle's scores ``[N, B]`` of captions and pictures, and the picture of each caption ``[N]``.

    Raises:
        BundleError: the embeddings differ, or the ranking does.
    """
    rows = data.rows["val"][:MAX_PICTURES]
    captions = [caption for row in rows for caption in data.captions[row]]
    answers = np.repeat(np.arange(len(rows)), [len(data.captions[row]) for row in rows])
    return _compare(bundle, trained, [data.pixels[row] for row in rows], captions), answers


def verify_on_drawings(bundle: Bundle, trained: TrainedModel) -> None:
    """Like `verify`, on drawn pictures and their descriptions.

    Raises:
        BundleError: the embeddings differ, or the ranking does.
    """
    rng = np.random.default_rng(0)
    scenes = [random_scene(rng) for _ in range(DRAWINGS)]
    captions = [caption for scene in scenes for caption in describe_scene(scene, rng)]
    _compare(bundle, trained, [trained.preprocess.pixels(draw(scene, rng)) for scene in scenes], captions)


def _compare(
    bundle: Bundle, trained: TrainedModel, pixels: Sequence[Pixels], captions: Sequence[str]
) -> npt.NDArray[np.float32]:
    encoder = Encoder(bundle)
    images, texts = encoder.encode_images(pixels), encoder.encode_texts(captions)
    trained_images = embed_pixels(ImageGraph(trained.model, trained.preprocess), pixels)
    trained_texts = embed_captions(trained.model, trained.tokenizer, captions)
    check_embeddings("image", images, trained_images)
    check_embeddings("text", texts, trained_texts)
    scores: npt.NDArray[np.float32] = texts @ images.T
    check_ranking(scores, trained_texts @ trained_images.T)
    return scores


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


def export_pretrained(name: str, output: Path, data: RetrievalDataModule | None = None) -> Bundle:
    """Export a pretrained dual encoder as it is, without training.

    Args:
        name: as `model.name` of `model=clip`: a folder, a name of the Hugging Face hub, or a name and a tag of
            open_clip.
        output: folder for the bundle.
        data: before `setup`; pictures and captions for the calibration. None: the bundle has scores but no relevance.

    Raises:
        ImtextError: the model cannot be found or read, or the export does not agree with it.
    """
    trained = load_pretrained({"_target_": "imtext.models.clip.CLIP", "name": name})
    tags = {"source": name}
    if data is not None:
        data.use_model(trained.preprocess, trained.tokenizer, trained=True)
        data.setup()
        data.require("val")
        tags |= {"data_fingerprint": data.fingerprint, "data_source": data.source}
    return export(trained, data, output, {}, tags)
