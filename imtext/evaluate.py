"""Measure a checkpoint as a search engine: ``python -m imtext.evaluate ckpt_path=best split=val``.

A pretrained model needs no checkpoint: ``python -m imtext.evaluate model=clip model.name=<folder> data=…``.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from imtext.errors import needs

with needs("train", exits=__name__ == "__main__"):
    from omegaconf import DictConfig

    from imtext.config.launch import launch
    from imtext.config.schema import check_config

log = logging.getLogger(__name__)


def evaluate(config: DictConfig) -> tuple[dict[str, float], dict[str, Any]]:
    """Rank every query of a split and write `metrics.json` and `ranks.jsonl`.

    The checkpoint alone is enough to rebuild the model. The data is the data of its run, unless the configuration
    names another data set. With `model` instead of `ckpt_path`, a pretrained model is measured as it is (zero-shot).

    Args:
        config: composed from `conf/evaluate.yaml`.

    Returns:
        The metrics written to `metrics.json`, and the objects of the evaluation: `datamodule`, `model`.

    Raises:
        ImtextError: a setting, the data or the checkpoint is wrong; the message says how to fix it.
    """
    import torch

    from imtext.evaluation.embed import embed_split
    from imtext.evaluation.report import print_results, write_metrics, write_ranks
    from imtext.training.checkpoints import find_checkpoint, load_model
    from imtext.training.devices import resolve_accelerator
    from imtext.training.pretrained import load_pretrained
    from imtext.training.rerank.measure import depth_of, look_again
    from imtext.training.trained_data import build_data

    started = time.monotonic()
    check_config(config, "evaluate")
    split = config.split  # one of train, val and test; the schema has checked it
    device = torch.device(resolve_accelerator(str(config.trainer.accelerator)))
    if config.ckpt_path is None:
        trained = load_pretrained(config.model)
        name = f"Zero-shot: {config.model.get('name')}"
        log.info("%s, on %s", name, device)
    else:
        checkpoint = find_checkpoint(str(config.ckpt_path), Path(config.paths.runs_dir))
        trained, name = load_model(checkpoint), checkpoint.name
        log.info("Checkpoint: %s, on %s", checkpoint, device)
    top_k = depth_of(config.rerank_top_k, trained, name)
    data = build_data(config.data, trained)

    metrics = embed_split(trained.model, data.eval_dataloader(split), device, f"Embedding {split}")
    found, reranked = metrics.compute() | metrics.intervals(), None
    if top_k:
        reranked, again = look_again(trained, data, metrics.gathered(), top_k)
        found |= again
    values = {f"{split}/{name}": value for name, value in found.items()}
    values["seconds"] = round(time.monotonic() - started, 1)

    output_dir = Path(config.paths.output_dir)
    path, ranks = write_metrics(values, output_dir), (output_dir / "ranks.jsonl").absolute()
    write_ranks(ranks, metrics, data.captions, data.names, reranked)
    print_results(values, f"{name} in {values['seconds']:.0f} s")
    print(f"Rank of every query: {ranks}")
    print(f"Metrics: {path}", flush=True)
    return values, {"datamodule": data, "model": trained}


def main() -> None:
    """The command line."""
    launch("evaluate", lambda config: evaluate(config)[0][f"{config.split}/rsum"])


if __name__ == "__main__":
    main()
