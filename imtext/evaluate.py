"""Measure a checkpoint as a search engine: ``python -m imtext.evaluate ckpt_path=best split=val``."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any, get_args

from omegaconf import DictConfig, OmegaConf

from imtext.config.launch import launch
from imtext.config.schema import check_config, instantiate
from imtext.errors import ConfigError

log = logging.getLogger(__name__)


def evaluate(config: DictConfig) -> tuple[dict[str, float], dict[str, Any]]:
    """Rank every query of a split and write `metrics.json` and `ranks.jsonl`.

    Nothing but the checkpoint is needed to rebuild the model; the data is that of the training unless the
    configuration names another.

    Args:
        config: composed from `conf/evaluate.yaml`.

    Returns:
        The figures written to `metrics.json`, and the objects made on the way: `datamodule`, `model`.

    Raises:
        ImtextError: a setting, the data or the checkpoint is at fault; the message says how to put it right.
    """
    import torch
    from rich.progress import track

    from imtext.data import RetrievalDataModule
    from imtext.data.captions import Split
    from imtext.evaluation.metrics import RetrievalMetrics, retrieval_ranks
    from imtext.evaluation.report import print_results, write_metrics
    from imtext.training.checkpoints import find_checkpoint, load_model
    from imtext.training.devices import resolve_accelerator

    started = time.monotonic()
    check_config(config, "evaluate")
    split: Split = config.split
    if split not in get_args(Split):
        raise ConfigError(f"split must be one of {', '.join(get_args(Split))}, not {split!r}")
    checkpoint = find_checkpoint(str(config.ckpt_path), Path(config.paths.runs_dir))
    trained = load_model(checkpoint)
    device = torch.device(resolve_accelerator(str(config.trainer.accelerator)))
    log.info("Checkpoint: %s, on %s", checkpoint, device)

    wanted = data_config(config.data, trained.config)
    check_config(OmegaConf.create({"data": wanted}), "evaluate")
    data: RetrievalDataModule = instantiate(wanted)
    data.use_model(trained.preprocess, trained.tokenizer)
    data.setup()
    loader = data.eval_dataloader(split)
    model, metrics = trained.model.to(device), RetrievalMetrics().to(device)
    with torch.inference_mode():
        for batch in track(loader, description=f"Embedding {split}", transient=True):
            ids, mask = batch["input_ids"].to(device), batch["attention_mask"].to(device)
            metrics.update(
                model.encode_image(batch["image"].to(device)),
                model.encode_text(ids, mask),
                batch["image_id"].to(device),
                batch["caption_image_id"].to(device),
            )
    figures = {f"{split}/{name}": value for name, value in (metrics.compute() | metrics.intervals()).items()}
    figures["seconds"] = round(time.monotonic() - started, 1)

    output_dir = Path(config.paths.output_dir)
    path = write_metrics(figures, output_dir)
    images, texts, image_id, caption_image_id = metrics.gathered()
    ranks = {name: rank.tolist() for name, rank in retrieval_ranks(images, texts, image_id, caption_image_id).items()}
    captions = [text for row in image_id.tolist() for text in data.captions[row]]
    with (output_dir / "ranks.jsonl").open("w") as file:
        for caption, row, rank in zip(captions, caption_image_id.tolist(), ranks["t2i"], strict=True):
            file.write(
                json.dumps({"direction": "t2i", "image": data.names[row], "query": caption, "rank": rank}) + "\n"
            )
        for row, rank in zip(image_id.tolist(), ranks["i2t"], strict=True):
            file.write(json.dumps({"direction": "i2t", "image": data.names[row], "rank": rank}) + "\n")
    print_results(figures, f"{checkpoint.name} in {figures['seconds']:.0f} s")
    print(f"Rank of every query: {(output_dir / 'ranks.jsonl').absolute()}")
    print(f"Metrics: {path}", flush=True)
    return figures, {"datamodule": data, "model": trained}


def data_config(wanted: DictConfig, trained: dict[str, Any]) -> DictConfig:
    """The training's data settings with the changes asked for, or another data set altogether."""
    if "_target_" in wanted:
        return wanted
    changes = {key: value for key, value in wanted.items() if value is not None}
    return OmegaConf.merge(OmegaConf.create(trained["data"]), changes)  # type: ignore[return-value]


def main() -> None:
    """The command line."""
    launch("evaluate", lambda config: evaluate(config)[0][f"{config.split}/rsum"])


if __name__ == "__main__":
    main()
