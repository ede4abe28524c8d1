"""Training a re-ranker: every parameter learns, the dual encoder does not, resuming equals a straight run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from imtext.data import RetrievalDataModule
from imtext.errors import ConfigError, DivergedError
from imtext.training.build import build_reranker
from imtext.training.checkpoints import FORMAT, TrainedModel, load_model, read_checkpoint
from imtext.training.rerank import run as module_of_run
from imtext.training.rerank.batches import NeighbourSampler, RerankDataset
from imtext.training.rerank.embeddings import embeddings_of
from imtext.training.rerank.module import RerankModule
from imtext.training.rerank.recipe import Recipe
from imtext.training.rerank.run import RerankRun, train_reranker
from tests.runs import same
from tests.training.test_checkpoints import MODEL

pytestmark = pytest.mark.slow

RERANKER = {
    "_target_": "imtext.models.cross_attention.CrossAttention", "dim": 8, "word_dim": 12, "dropout": 0.2
}  # fmt: skip
TRAINER = {
    "_target_": "lightning.pytorch.Trainer", "accelerator": "cpu", "devices": 1, "enable_model_summary": False,
    "log_every_n_steps": 1,
}  # fmt: skip
Untrained = tuple[TrainedModel, RetrievalDataModule]


@pytest.fixture
def run(untrained: Untrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RerankRun:
    trained, data = untrained
    monkeypatch.setattr(data, "cache_dir", tmp_path / "cache")
    content = {
        "state_dict": {f"model.{name}": value for name, value in trained.model.state_dict().items()},
        "imtext": {
            "format": FORMAT, "config": {"model": MODEL}, "tokenizer": trained.tokenizer.to_json(),
            "vocabulary": trained.tokenizer.vocabulary.to_dict(), "preprocess": trained.preprocess.to_dict(),
        },
    }  # fmt: skip
    recipe = Recipe(
        pictures_per_step=4, group=2, neighbours=4, captions_per_picture=None, max_epochs=2, rerank_top_k=5, views=2
    )
    trainer = {**TRAINER, "max_epochs": 2}
    return RerankRun(trained, content, data, RERANKER, recipe, trainer, [], tmp_path / "run", {}, progress=False)


def state(path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = read_checkpoint(path)["state_dict"]
    return found


def test_a_checkpoint_holds_both_models(run: RerankRun, untrained: Untrained) -> None:
    best = train_reranker(run)
    assert best == run.folder / "best.ckpt"
    loaded = load_model(best)
    assert loaded.reranker is not None
    assert not loaded.reranker.training
    before = untrained[0].model.state_dict()
    assert same(loaded.model.state_dict(), before)
    weights = {name: value for name, value in state(best).items() if name.startswith("reranker.")}
    assert same({f"reranker.{name}": value for name, value in loaded.reranker.state_dict().items()}, weights)
    assert "optimizer_states" not in read_checkpoint(best)
    # A reader that knows no re-rankers finds the dual encoder as it was.
    content = read_checkpoint(best)
    del content["imtext"]["reranker"]
    torch.save(content, run.folder / "older.ckpt")
    older = load_model(run.folder / "older.ckpt")
    assert older.reranker is None
    assert same(older.model.state_dict(), before)


def test_every_parameter_learns(run: RerankRun) -> None:
    train_reranker(run)
    torch.manual_seed(run.seed)
    start = build_reranker(RERANKER, run.trained.model, run.trained.tokenizer.vocabulary)
    start.start_from(run.data.word_vectors(12))
    last = state(run.folder / "last.ckpt")
    still = [name for name, value in start.named_parameters() if last[f"trained.{name}"].equal(value)]
    # Pictures of 32 pixels are one place, to which every word attends.
    assert set(still) <= {"sharpness"}
    assert last["logit_scale"] != pytest.approx(-math.log(run.recipe.temperature))


def test_a_picture_that_a_caption_describes_is_never_wrong(run: RerankRun, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = sorted(run.data.rows["train"])[:2]
    captions = {row: list(run.data.captions[row]) for row in run.data.rows["train"]}
    captions[second][0] = captions[first][1]
    monkeypatch.setattr(run.data, "captions", captions)
    gathered = embeddings_of(run.trained, run.data, "train", run.device)
    batches = module_of_run._batches(replace(run, recipe=replace(run.recipe, pictures_per_step=10)), gathered)
    dataset, sampler = batches.dataset, batches.sampler
    assert isinstance(dataset, RerankDataset)
    assert isinstance(sampler, NeighbourSampler)

    def tokens(text: str) -> tuple[int, ...]:
        return tuple(run.trained.tokenizer([text]).input_ids[0].tolist())

    texts = [{tokens(text) for text in captions[row]} for row in dataset.rows]
    shared = 0
    for key in sampler:
        batch = dataset[key]
        numbers = [caption for picture in key.positions for caption in dataset.captions_of[picture]]
        for caption, own, also in zip(numbers, batch["own"].tolist(), batch["also"].tolist(), strict=True):
            right = [tokens(dataset.captions[caption]) in texts[picture] for picture in key.positions]
            assert right == [place == own or other for place, other in enumerate(also)]
            shared += sum(also)
    assert shared >= 2


def test_resuming_equals_a_straight_run(run: RerankRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_reranker(run)
    straight = state(run.folder / "last.ckpt")
    stopped = replace(run, folder=tmp_path / "stopped")
    monkeypatch.setattr(RerankModule, "training_step", _interrupted(1))
    with pytest.raises(RuntimeError, match="interrupted"):
        train_reranker(stopped)
    monkeypatch.undo()
    monkeypatch.setattr(run.data, "cache_dir", tmp_path / "cache")
    last = stopped.folder / "last.ckpt"
    assert not same(state(last), straight)
    train_reranker(replace(stopped, resume=last))
    assert same(state(last), straight)
    assert same(state(last.with_name("best.ckpt")), state(run.folder / "best.ckpt"))


def _interrupted(batch: int) -> Any:
    """A training step that fails in the second epoch."""
    original = RerankModule.training_step

    def step(module: Any, some: Any, batch_idx: int) -> Any:
        if module.current_epoch == 1 and batch_idx == batch:
            raise RuntimeError("interrupted")
        return original(module, some, batch_idx)

    return step


def test_a_tower_without_places_is_refused(run: RerankRun, monkeypatch: pytest.MonkeyPatch) -> None:
    class Single(type(run.trained.model.image_encoder)):  # type: ignore[misc]
        blocks = property(lambda tower: [torch.nn.Identity()])

    monkeypatch.setattr(run.trained.model.image_encoder, "__class__", Single)
    with pytest.raises(ConfigError, match="single block"):
        train_reranker(run)


def test_a_diverged_re_ranker_keeps_no_epoch(run: RerankRun) -> None:
    with pytest.raises(DivergedError, match=r"not finite.*rerank\.lr=1e\+29 instead of 1e\+30"):
        train_reranker(replace(run, recipe=replace(run.recipe, lr=1e30)))
    assert [path.name for path in run.folder.iterdir()] == ["last.ckpt"]
    assert all(value.isfinite().all() for value in state(run.folder / "last.ckpt").values())  # those of the start


def test_a_smoke_test_keeps_nothing(run: RerankRun) -> None:
    smoke = replace(run, trainer={**run.trainer, "fast_dev_run": True})
    assert train_reranker(smoke) is None
    assert not run.folder.exists()
