"""From a checkpoint to a bundle: trace both towers, prove that the graphs rank like the model, write the bundle."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import imtext
from imtext.config.compose import compose_config
from imtext.data import RetrievalDataModule
from imtext.data.scenes import describe as describe_scene
from imtext.data.scenes import draw, random_scene
from imtext.evaluation.bundle_scores import Answers, BundleScores, validation_pairs
from imtext.evaluation.embed import embed_captions, embed_pixels, embed_pixels_and_grids
from imtext.evaluation.proof import check_embeddings, check_grids, check_ranking, check_reranked
from imtext.evaluation.reranking import TOP_K
from imtext.preprocess import Pixels
from imtext.quantize import quantize_bundle
from imtext.search.bundle import IMAGE, RERANKER, TEXT, Bundle, write_bundle
from imtext.training.build import TOWERS, is_in_towers
from imtext.training.checkpoints import TrainedModel, find_checkpoint, load_model
from imtext.training.graphs import (
    GridGraph,
    ImageGraph,
    RerankerGraph,
    trace_image_graph,
    trace_reranker_graph,
    trace_text_graph,
)
from imtext.training.pretrained import load_pretrained
from imtext.training.quantization import Precision
from imtext.training.tracking import source_tags
from imtext.training.trained_data import build_data

log = logging.getLogger(__name__)

DRAWINGS = 32  # drawn pictures that are compared if there is no data
MAX_RERANKED = 100  # captions whose candidates are scored again to compare


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
        IMAGE: trace_image_graph(trained.model, trained.preprocess, trained.reranker),
        TEXT: trace_text_graph(trained.model),
    }
    facts = describe(trained, metrics, tags)
    if trained.reranker is not None:
        places = _places(trained)
        graphs[RERANKER] = trace_reranker_graph(trained.reranker, places)
        facts[RERANKER] = {"top_k": TOP_K, "grid": [places, trained.reranker.grid_dim], "calibration": None}
    trial = folder.with_name(f".{folder.name}.trial")
    bundle = write_bundle(trial, graphs, trained.tokenizer, facts)
    try:
        if data is None:
            verify_on_drawings(bundle, trained)
        else:
            scores, answers = verify(bundle, trained, data)
            try:
                calibration, reranked = scores.calibrations(answers)
                facts["calibration"] = calibration.to_dict()
                if reranked is not None:
                    facts[RERANKER]["calibration"] = reranked.to_dict()
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


def verify(bundle: Bundle, trained: TrainedModel, data: RetrievalDataModule) -> tuple[BundleScores, Answers]:
    """Compare a bundle with the model that it was exported from, on pictures and captions of the validation split.

    Returns:
        What the bundle made of them, and the picture of each caption ``[N]``.

    Raises:
        BundleError: the embeddings differ, or the ranking does.
    """
    pixels, captions, answers = validation_pairs(data)
    return _compare(bundle, trained, pixels, captions), answers


def verify_on_drawings(bundle: Bundle, trained: TrainedModel) -> None:
    """Like `verify`, on drawn pictures and their descriptions.

    Raises:
        BundleError: the embeddings differ, or the ranking does.
    """
    rng = np.random.default_rng(0)
    scenes = [random_scene(rng) for _ in range(DRAWINGS)]
    captions = [caption for scene in scenes for caption in describe_scene(scene, rng)]
    _compare(bundle, trained, [trained.preprocess.pixels(draw(scene, rng)) for scene in scenes], captions)


def _compare(bundle: Bundle, trained: TrainedModel, pixels: Sequence[Pixels], captions: Sequence[str]) -> BundleScores:
    ours = BundleScores.of(bundle, pixels, captions)
    if trained.reranker is None:
        images = embed_pixels(ImageGraph(trained.model, trained.preprocess), pixels)
    else:
        graph = GridGraph(trained.model, trained.preprocess, trained.reranker)
        images, grids = embed_pixels_and_grids(graph, pixels)
        assert ours.grids is not None
        check_grids(ours.grids, grids)
    texts = embed_captions(trained.model, trained.tokenizer, captions)
    check_embeddings("image", ours.images, images)
    check_embeddings("text", ours.texts, texts)
    check_ranking(ours.scores, texts @ images.T)
    if trained.reranker is not None:
        _compare_reranked(ours, trained)
    return ours


@torch.inference_mode()
def _compare_reranked(compared: BundleScores, trained: TrainedModel) -> None:
    """Compare the scores of both re-rankers for the candidates of some captions, with the same grids."""
    assert trained.reranker is not None
    assert compared.grids is not None
    graph, ours, theirs = RerankerGraph(trained.reranker), [], []
    for row in range(0, len(compared.captions), -(-len(compared.captions) // MAX_RERANKED)):
        places = np.argsort(-compared.scores[row], kind="stable")[:TOP_K]
        ours.append(compared.rerank(row, places))
        ids, mask = map(torch.from_numpy, trained.tokenizer([compared.captions[row]]))
        grids, similarity = (torch.from_numpy(values[places]) for values in (compared.grids, compared.scores[row]))
        theirs.append(graph(grids, ids, mask, similarity).numpy())
    check_reranked(np.stack(ours), np.stack(theirs))


def _places(trained: TrainedModel) -> int:
    """Number of places that the image tower sees in a picture."""
    size = trained.preprocess.image_size
    with torch.inference_mode():
        return trained.model.image_encoder.tokens(torch.zeros(1, 3, size, size)).shape[1]


def export_run(
    wanted: str,
    output: Path | None,
    overrides: Sequence[str] = (),
    precision: Precision = "float32",
    force: bool = False,
    dim: int | None = None,
) -> Bundle:
    """Export a checkpoint after its run, as training does when it ends.

    Args:
        wanted: a checkpoint, a run's folder, or `last` / `best` of the newest run.
        output: folder for the bundle; None: `bundle/` in the run's folder, or a name with what is smaller, such as
            `bundle-int8/` or `bundle-int8-128/`.
        overrides: overrides of the run's data settings, such as ``data.path=…`` if the data has moved.
        precision: of the numbers in the bundle, see `quantize_bundle`.
        force: export smaller or fewer numbers although they find less.
        dim: length of the embeddings; None: that of the model.

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
    tags = {**source_tags(), **tags}
    if precision == "float32" and dim is None:
        return export(trained, data, output or run_dir / "bundle", known, tags)
    with TemporaryDirectory() as folder:  # not bundle/ of the run, which may have been calibrated since
        exported = export(trained, data, Path(folder) / "bundle", known, tags)
        smaller = "-".join(str(each) for each in (precision, dim) if each not in ("float32", None))
        return quantize_bundle(exported, data, output or run_dir / f"bundle-{smaller}", precision, force, dim)


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
