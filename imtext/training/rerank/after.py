"""A re-ranker as the second part of a training run: ``python -m imtext.train model/reranker=cross_attention``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from imtext.config.instantiate import instantiate
from imtext.errors import ConfigError
from imtext.models import DualEncoder
from imtext.preprocess.tokenizer import Vocabulary
from imtext.training.build import build_reranker
from imtext.training.checkpoints import RERANKER, load_model, read_checkpoint, write_checkpoint
from imtext.training.rerank.measure import measure_both
from imtext.training.rerank.recipe import Recipe
from imtext.training.rerank.run import RerankRun, train_reranker

if TYPE_CHECKING:
    from imtext.training.run import Run

log = logging.getLogger(__name__)


def check_reranker(config: Mapping[str, Any], model: DualEncoder, vocabulary: Vocabulary) -> None:
    """Find mistakes in the settings of the re-ranker before the dual encoder is trained.

    Args:
        config: of the run, as plain values.
        model: the dual encoder.
        vocabulary: of its tokenizer.

    Raises:
        ConfigError: a value is out of range, or the image tower has no places.
    """
    if config["model"].get("reranker") is not None:
        if config.get("trainer", {}).get("strategy", "auto") != "auto":
            raise ConfigError(
                "Several processes train the dual encoder only. Set model.reranker=null, and train the re-ranker "
                "afterwards: python -m imtext.rerank ckpt_path=<run>"
            )
        instantiate(config["rerank"])
        if len(model.image_encoder.blocks) < 2:
            raise ConfigError(
                "model.reranker needs the places of a picture, and this image tower is a single block, which only "
                "returns features of the whole picture. Set model.reranker=null, or take another image tower"
            )
        with torch.random.fork_rng(devices=[]):
            build_reranker(config["model"]["reranker"], model, vocabulary)


def add_reranker(run: Run, best: Path | None) -> dict[str, float]:
    """Train a re-ranker for the best epoch of a run, and put it into that checkpoint, if the settings name one.

    Returns:
        The metrics of the re-ranked order; none without a re-ranker.
    """
    settings = run.config["model"].get("reranker")
    if settings is None or best is None:
        return {}
    recipe: Recipe = instantiate(run.config["rerank"])
    trained, content = load_model(best), read_checkpoint(best)
    log.info("Training a re-ranker for the best epoch")
    device = run.trainer.strategy.root_device
    second = RerankRun(
        trained=trained,
        content=content,
        data=run.data,
        settings=settings,
        recipe=recipe,
        trainer={**run.config["trainer"], "max_epochs": recipe.max_epochs},
        loggers=run.trainer.loggers,
        folder=run.output_dir / "reranker",  # not among the checkpoints of the run, which `ckpt_path=last` finds
        facts={},
        seed=run.config["seed"],
        progress=run.config["callbacks"].get("progress") is not None,
    )
    found = train_reranker(second)
    assert found is not None  # a smoke test keeps no best epoch of the dual encoder
    with_reranker = read_checkpoint(found)
    content["state_dict"] |= {
        name: value for name, value in with_reranker["state_dict"].items() if name.startswith(RERANKER)
    }
    content["imtext"]["reranker"] = with_reranker["imtext"]["reranker"]
    write_checkpoint(best, content)
    both = measure_both(load_model(best), run.data, recipe.rerank_top_k, device)
    return {name: value for name, value in both.items() if "/rerank_" in name}
