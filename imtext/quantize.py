"""From a bundle to a smaller one: fewer bits or fewer numbers, and what that costs is measured before it is kept."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imtext.data import RetrievalDataModule
from imtext.errors import BundleError
from imtext.evaluation.bundle_scores import BundleScores, validation_pairs
from imtext.search.bundle import IMAGE, RERANKER, TEXT, Bundle, write_bundle
from imtext.search.encoder import Embeddings, Encoder
from imtext.training.projection import axes_to_keep, project_graph
from imtext.training.quantization import Precision, quantize_graph

log = logging.getLogger(__name__)

MAX_LOSS = 0.005  # of R@10 in either direction
PICTURES = 2_000  # training pictures that axes are fitted to, with their captions


def quantize_bundle(
    bundle: Bundle,
    data: RetrievalDataModule,
    folder: Path,
    precision: Precision,
    force: bool = False,
    dim: int | None = None,
) -> Bundle:
    """Write a bundle with smaller or fewer numbers, measured and calibrated on validation pictures and captions.

    The embedding space changes a little, so the new bundle has a fingerprint of its own, and indexes of the old one are
    not searched with it.

    Args:
        bundle: in single precision.
        data: after `setup`, with a validation split.
        folder: folder for the new bundle.
        precision: see `quantize_graph`.
        force: write it although it finds less.
        dim: length of the embeddings; None: as it is.

    Raises:
        BundleError: R@10 of a direction falls by more than `MAX_LOSS`; or the folder holds something else.
    """
    graphs = {name: bundle.read(file) for name, file in bundle.graphs.items()}
    if dim is not None:
        axes = _axes(bundle, data, dim)
        graphs |= {name: project_graph(graphs[name], axes) for name in (IMAGE, TEXT)}
    graphs = {name: quantize_graph(graph, precision) for name, graph in graphs.items()}
    pixels, captions, answers = validation_pairs(data)
    before = BundleScores.of(bundle, pixels, captions)
    facts: dict[str, Any] = {**bundle.manifest, "precision": precision, "quantized_from": bundle.fingerprint}
    facts["embed_dim"] = dim or bundle.embed_dim
    trial = folder.with_name(f".{folder.name}.trial")
    try:
        smaller = write_bundle(trial, graphs, before.encoder.tokenizer, facts)
        after = BundleScores.of(smaller, pixels, captions)
        metrics, reference = after.metrics(answers), before.metrics(answers)
        _report(bundle, smaller, reference, metrics)
        if not force:
            _check_loss(reference, metrics, _kind(smaller))
        facts["metrics"] = {f"val/{name}": value for name, value in metrics.items()}
        try:
            calibration, reranked = after.calibrations(answers)
            facts["calibration"] = calibration.to_dict()
            if reranked is not None:
                facts[RERANKER] = {**bundle.manifest[RERANKER], "calibration": reranked.to_dict()}
        except ValueError as error:
            log.warning("Results will have scores but no relevance: %s", error)
        return write_bundle(folder, graphs, before.encoder.tokenizer, facts)
    finally:
        shutil.rmtree(trial, ignore_errors=True)


def _axes(bundle: Bundle, data: RetrievalDataModule, dim: int) -> Embeddings:
    """The axes of training pictures and their captions.

    Raises:
        BundleError: the bundle has fewer numbers.
    """
    if dim >= bundle.embed_dim:
        raise BundleError(f"--dim {dim} is not less than the {bundle.embed_dim} numbers of this model's embeddings")
    encoder, rows = Encoder(bundle), data.rows["train"][:PICTURES]
    images = encoder.encode_images(data.pixels[row] for row in rows)
    return axes_to_keep(images, encoder.encode_texts([text for row in rows for text in data.captions[row]]), dim)


def _kind(bundle: Bundle) -> str:
    return f"{bundle.manifest['precision']}, {bundle.embed_dim}"


def _report(bundle: Bundle, smaller: Bundle, reference: Mapping[str, float], metrics: Mapping[str, float]) -> None:
    """Print the size and R@10 of both."""
    print(f"{'numbers':<15}{'size':>9}{'R@10 text→image':>19}{'image→text':>13}")
    for name, one, found in ((f"float32, {bundle.embed_dim}", bundle, reference), (_kind(smaller), smaller, metrics)):
        print(f"{name:<15}{one.megabytes:>6.1f} MB{100 * found['t2i_r@10']:>19.1f}{100 * found['i2t_r@10']:>13.1f}")


def _check_loss(reference: Mapping[str, float], metrics: Mapping[str, float], kind: str) -> None:
    for direction in ("t2i", "i2t"):
        loss = reference[f"{direction}_r@10"] - metrics[f"{direction}_r@10"]
        if loss > MAX_LOSS:
            raise BundleError(
                f"In {kind} numbers, R@10 of {direction} falls by {100 * loss:.1f} points on "
                f"{metrics['num_images']:.0f} validation images, and at most {100 * MAX_LOSS:.1f} are accepted. "
                "Export without it, or add --force to keep it anyway"
            )
