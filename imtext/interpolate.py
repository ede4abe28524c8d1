"""Mix a fine-tuned model with the pretrained one it began as: ``python -m imtext.interpolate ckpt_path=best``.

WiSE-FT (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022): the weights ``(1 - alpha) · pretrained +
alpha · fine-tuned`` are often better than both, on the data of the fine-tuning and on other data.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from imtext.errors import needs

with needs("train", exits=__name__ == "__main__"):
    from omegaconf import DictConfig

    from imtext.config.launch import launch
    from imtext.config.schema import check_config

if TYPE_CHECKING:
    from imtext.training.interpolation import Ends

log = logging.getLogger(__name__)
CHARTED = {"R@1": "r@1", "R@10": "r@10"}
DIRECTIONS = {"text→image": "t2i", "image→text": "i2t"}


def interpolate(config: DictConfig) -> tuple[dict[float, dict[str, float]], Path]:
    """Measure every mixture, and write the best as a checkpoint.

    `interpolation.json`, `interpolation.png`, `metrics.json` of the best, and `mixed/mixed.ckpt` are written.

    Args:
        config: composed from `conf/interpolate.yaml`.

    Returns:
        The metrics of every alpha, and the path of the checkpoint.

    Raises:
        ImtextError: a setting, the data or the checkpoint is wrong, or the pretrained weights are gone.
    """
    import torch

    from imtext.evaluation.embed import embed_split
    from imtext.evaluation.report import write_metrics
    from imtext.training.checkpoints import find_checkpoint
    from imtext.training.devices import resolve_accelerator
    from imtext.training.interpolation import check_alphas, read_ends
    from imtext.training.trained_data import build_data

    check_config(config, "interpolate")
    alphas, split, output_dir = check_alphas(config.alphas), config.split, Path(config.paths.output_dir)
    checkpoint = find_checkpoint(str(config.ckpt_path), Path(config.paths.runs_dir))
    ends = read_ends(checkpoint)
    device = torch.device(resolve_accelerator(str(config.trainer.accelerator)))
    data = build_data(config.data, ends.trained)
    log.info("Mixing %s with %s, on %s", checkpoint, ends.name, device)
    measured: dict[float, dict[str, float]] = {}
    for alpha in alphas:
        ends.mix(alpha)
        metrics = embed_split(ends.trained.model, data.eval_dataloader(split), device, f"alpha {alpha:g}")
        measured[alpha] = {f"{split}/{name}": value for name, value in metrics.compute().items()}
    best = max(alphas, key=lambda alpha: measured[alpha][f"{split}/rsum"])
    write_metrics(measured[best] | {"alpha": best}, output_dir)
    _write(measured, split, output_dir)
    path = ends.save(best, output_dir / "mixed" / "mixed.ckpt")
    _print(measured, split, best, ends)
    print(f"Curves: {(output_dir / 'interpolation.png').absolute()}")
    print(f"Checkpoint: {path}", flush=True)
    return measured, path


def _write(measured: dict[float, dict[str, float]], split: str, folder: Path) -> None:
    """The metrics of all mixtures, and their curves."""
    from imtext.evaluation.curves import draw_curves

    rows = [{"alpha": alpha, **metrics} for alpha, metrics in measured.items()]
    (folder / "interpolation.json").write_text(json.dumps(rows, indent=2) + "\n")
    curves = {
        title: {
            name: [(alpha, metrics[f"{split}/{direction}_{metric}"]) for alpha, metrics in sorted(measured.items())]
            for name, direction in DIRECTIONS.items()
        }
        for title, metric in CHARTED.items()
    }
    draw_curves(curves, folder / "interpolation.png", xlabel="alpha: 0 pretrained, 1 fine-tuned")


def _print(measured: dict[float, dict[str, float]], split: str, best: float, ends: Ends) -> None:
    """A table of all mixtures; the best is marked."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    size = measured[best][f"{split}/num_images"]
    table = Table(
        title=f"{ends.name}, {split}: {size:,.0f} images", title_justify="left", box=box.SIMPLE_HEAD,
        caption="recalls in per cent; alpha is the share of the fine-tuned weights", caption_justify="left",
    )  # fmt: skip
    table.add_column("alpha", justify="right")
    for name in DIRECTIONS:
        for metric in CHARTED:
            table.add_column(f"{name} {metric}", justify="right")
    table.add_column("rsum", justify="right")
    for alpha, metrics in measured.items():
        recalls = [metrics[f"{split}/{side}_{metric}"] for side in DIRECTIONS.values() for metric in CHARTED.values()]
        cells = [f"{100 * value:.1f}" for value in [*recalls, metrics[f"{split}/rsum"]]]
        table.add_row(f"{alpha:g}{' best' if alpha == best else '     '}", *cells)
    Console().print(table)


def task(config: DictConfig) -> float:
    """The rsum of the best mixture."""
    measured, _ = interpolate(config)
    return max(metrics[f"{config.split}/rsum"] for metrics in measured.values())


def main() -> None:
    """The command line."""
    launch("interpolate", task)


if __name__ == "__main__":
    main()
