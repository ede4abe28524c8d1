"""Re-ranking as a program: train, measure, export, evaluate; and its mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imtext.config.compose import compose_config
from imtext.config.schema import check_config
from imtext.errors import ConfigError
from imtext.evaluate import evaluate
from imtext.rerank import rerank, task
from imtext.search import load_bundle
from imtext.train import train
from imtext.training.checkpoints import load_model, read_checkpoint
from tests.conftest import Compose
from tests.runs import QUICK

SHORT = [
    "model.reranker.dim=16", "model.reranker.word_dim=12", "rerank.pictures_per_step=8", "rerank.group=4",
    "rerank.max_epochs=2", "rerank.views=1", "trainer=cpu",
]  # fmt: skip
QUIET = ["logger=none", "progress=false"]


@pytest.mark.slow
def test_a_re_ranker_is_trained_measured_exported_and_evaluated_alike(compose: Compose, tmp_path: Path) -> None:
    easy = ["data.num_images=240", "data.ratios=[0.6,0.2,0.2]", "data.batch_size=16", "trainer.max_epochs=1"]
    metrics, _ = train(compose(*QUICK, *easy, "optim.lr=1e-3", "model.hubness_bank=8"))
    run = tmp_path / "runs" / "run"
    longer = ["rerank.max_epochs=2", "rerank.pictures_per_step=16", "rerank.validate_every=2"]
    config = compose(f"ckpt_path={run}", *SHORT, *longer, *QUIET, name="rerank", output="reranked")
    reranked, objects = rerank(config)
    assert reranked["val/t2i_r@1"] == pytest.approx(metrics["val/t2i_r@1"])  # the dual encoder is the same
    folder = tmp_path / "runs" / "reranked"
    assert objects["checkpoint"] == folder / "checkpoints" / "best.ckpt"
    loaded = load_model(folder / "checkpoints" / "best.ckpt").reranker
    assert loaded is not None
    assert json.loads((folder / "metrics.json").read_text())["rerank_weight"] == pytest.approx(float(loaded.weight))
    assert {"image", "text", "reranker"} == load_bundle(folder / "bundle").graphs.keys()

    config = compose(f"ckpt_path={folder}", "split=val", "trainer=cpu", name="evaluate", output="evaluated")
    again, _ = evaluate(config)
    assert again["val/rerank_t2i_r@1"] == pytest.approx(reranked["val/rerank_t2i_r@1"], abs=1e-6)
    lines = [json.loads(line) for line in (tmp_path / "runs/evaluated/ranks.jsonl").read_text().splitlines()]
    ranks = [line["rank"] for line in lines if line["direction"] == "rerank_t2i"]
    assert len(ranks) == again["val/num_captions"]
    assert sum(rank == 1 for rank in ranks) / len(ranks) == pytest.approx(again["val/rerank_t2i_r@1"])
    config.rerank_top_k = 3
    few, _ = evaluate(config)
    assert few["val/rerank_top_k"] == 3
    assert few["val/rerank_t2i_r@5"] == pytest.approx(few["val/t2i_r@5"])  # it moves nothing across place 3
    config.rerank_top_k = 0
    assert "val/rerank_t2i_r@1" not in evaluate(config)[0]
    config.ckpt_path, config.rerank_top_k = str(run), 3
    with pytest.raises(ConfigError, match=r"best.ckpt has no re-ranker. Train one: python -m imtext.rerank"):
        evaluate(config)


@pytest.mark.slow
def test_training_can_add_a_re_ranker_itself(compose: Compose, tmp_path: Path) -> None:
    wanted = ["model/reranker=cross_attention", "callbacks.average._target_=imtext.training.callbacks.AverageWeights"]
    settings = [*QUICK, f"{wanted[0]}", f"+{wanted[1]}", *SHORT, "trainer.max_epochs=2", "optim.lr=1e-3"]
    metrics, _ = train(compose(*settings))
    best = tmp_path / "runs" / "run" / "checkpoints" / "best.ckpt"
    trained = load_model(best)
    assert trained.reranker is not None
    config = compose(f"ckpt_path={best}", "split=val", "trainer=cpu", name="evaluate", output="evaluated")
    again, _ = evaluate(config)
    for name in ("val/t2i_mrr", "val/rerank_t2i_mrr"):
        assert again[name] == pytest.approx(metrics[name], abs=1e-6)
    alone, _ = train(compose(*QUICK, f"+{wanted[1]}", "trainer.max_epochs=2", "optim.lr=1e-3", output="alone"))
    assert metrics["val/t2i_mrr"] == alone["val/t2i_mrr"]
    for checkpoint in (best, best.with_name("last.ckpt")):  # both can be continued, the best one without its re-ranker
        more = compose(*settings, "trainer.max_epochs=3", f"ckpt_path={checkpoint}", output="more")
        further, _ = train(more)
        assert "val/rerank_t2i_mrr" in further
    old = read_checkpoint(best)["imtext"]["model"]
    assert "reranker" not in old  # older versions rebuild the dual encoder from these settings


@pytest.mark.slow
def test_a_smoke_test(compose: Compose, tmp_path: Path) -> None:
    train(compose(*QUICK, "trainer.max_epochs=1"))
    config = compose(f"ckpt_path={tmp_path / 'runs/run'}", *SHORT, "debug=fdr", name="rerank", output="smoke")
    assert task(config) is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "ckpt_path is needed"),
        (["ckpt_path=x", "rerank.neighbors=3"], r"Did you mean rerank\.neighbours"),
        (["ckpt_path=x", "rerank.views=many"], r"rerank\.views=many: input should be a valid integer"),
        (["ckpt_path=x", "~model/reranker"], "model is needed"),
        (["ckpt_path=x", "+model.reranker.vocabulary=3"], r"model\.reranker\.vocabulary follows from the data"),
    ],
)
def test_mistakes_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_config(compose_config("rerank", overrides), "rerank")


def test_a_negative_depth_is_refused(compose: Compose) -> None:
    with pytest.raises(ConfigError, match="rerank_top_k=-1"):
        evaluate(compose("ckpt_path=x", "rerank_top_k=-1", name="evaluate"))
