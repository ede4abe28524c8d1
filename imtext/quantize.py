"""From a bundle to a smaller one: round its numbers, and measure what that costs before anything is kept."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imtext.data import RetrievalDataModule
from imtext.errors import BundleError
from imtext.evaluation.bundle_scores import BundleScores, validation_pairs
from imtext.search.bundle import RERANKER, Bundle, write_bundle
from imtext.training.quantization import Precision, quantize_graph

log = logging.getLogger(__name__)

MAX_LOSS = 0.005  # of R@10 in either direction


def quantize_bundle(
    bundle: Bundle, data: RetrievalDataModule, folder: Path, precision: Precision, force: bool = False
) -> Bundle:
    """Write a bundle with smaller numbers, measured and calibrated on validation pictures and captions.

    The embedding space changes a little, so the new bundle has a fingerprint of its own, and indexes of the old one are
    not searched with it.

    Args:
        bundle: in single precision.
        data: after `setup`, with a validation split.
        folder: folder for the new bundle.
        precision: see `quantize_graph`.
        force: write it although it finds less.

    Raises:
        BundleError: R@10 of a direction falls by more than `MAX_LOSS`; or the folder holds something else.
    """
    graphs = {name: quantize_graph(bundle.read(file), precision) for name, file in bundle.graphs.items()}
    pixels, captions, answers = validation_pairs(data)
    before = BundleScores.of(bundle, pixels, captions)
    facts: dict[str, Any] = {**bundle.manifest, "precision": precision, "quantized_from": bundle.fingerprint}
    trial = folder.with_name(f".{folder.name}.trial")
    try:
        smaller = write_bundle(trial, graphs, before.encoder.tokenizer, facts)
        after = BundleScores.of(smaller, pixels, captions)
        metrics, reference = after.metrics(answers), before.metrics(answers)
        _report(bundle, smaller, reference, metrics)
        if not force:
            _check_loss(reference, metrics, precision)
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


def _report(bundle: Bundle, smaller: Bundle, reference: Mapping[str, float], metrics: Mapping[str, float]) -> None:
    """Print the size and R@10 of both."""
    print(f"{'':<10}{'size':>9}{'R@10 text→image':>19}{'image→text':>13}")
    for name, one, found in (("float32", bundle, reference), (smaller.manifest["precision"], smaller, metrics)):
        print(f"{name:<10}{one.megabytes:>6.1f} MB{100 * found['t2i_r@10']:>19.1f}{100 * found['i2t_r@10']:>13.1f}")


def _check_loss(reference: Mapping[str, float], metrics: Mapping[str, float], precision: Precision) -> None:
    for direction in ("t2i", "i2t"):
        loss = reference[f"{direction}_r@10"] - metrics[f"{direction}_r@10"]
        if loss > MAX_LOSS:
            raise BundleError(
                f"In {precision}, R@10 of {direction} falls by {100 * loss:.1f} points on "
                f"{metrics['num_images']:.0f} validation images, and at most {100 * MAX_LOSS:.1f} are accepted. "
                "Export without it, or add --force to keep it anyway"
            )
