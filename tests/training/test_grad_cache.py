"""GradCache: the gradients of the whole batch, with the memory of a part of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from imtext.data.batch import Batch
from imtext.errors import ConfigError
from imtext.losses import InfoNCE, Loss, SigLIP
from imtext.models import DualEncoder, LSTMEncoder
from imtext.preprocess.tokenizer import Vocabulary
from imtext.train import train
from imtext.training import grad_cache
from imtext.training.grad_cache import check_grad_cache, in_chunks, number_of_chunks, same_draws
from imtext.training.module import RetrievalModule
from imtext.training.optim import AdamW
from imtext.training.stages import Plan, Stage
from tests.conftest import Compose
from tests.data.shared import Characters
from tests.models.towers import PatchEncoder
from tests.runs import QUICK, weights, without_time

IMAGES, CAPTIONS = 7, 17  # parts of unequal sizes on purpose
IMAGE = ("image", "image_id", "image_text_ids")
TEXT = ("input_ids", "attention_mask", "caption_image_id", "caption_text_id")
WORDS = Vocabulary("words", 20, pad_id=0, unk_id=1, max_length=8)


def module(chunk: int | None, dropout: float = 0.0, loss: Loss | None = None) -> RetrievalModule:
    torch.manual_seed(0)
    images = PatchEncoder(16, dropout, train_batch_norm=False)
    texts = LSTMEncoder(
        8, 12, num_layers=2, bidirectional=True, dropout=dropout, word_dropout=dropout / 2, vocabulary=WORDS
    )
    model = DualEncoder(images, texts, embed_dim=6, dropout=dropout)
    plan = Plan(None, len(images.blocks), len(texts.blocks))
    return RetrievalModule(
        model, loss or InfoNCE(), AdamW(), Characters(), images.preprocess, plan, grad_cache=chunk
    ).train()


def batch(**changes: Any) -> Batch:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 9, (CAPTIONS, 1), generator=generator)
    image_id = torch.arange(IMAGES)
    ids = torch.randint(2, 20, (CAPTIONS, 8), generator=generator)
    found: dict[str, Any] = {
        "image": torch.randn(IMAGES, 3, 16, 16, generator=generator),
        "first_block": 0,
        "input_ids": ids.masked_fill(torch.arange(8) >= lengths, 0),
        "attention_mask": torch.arange(8) < lengths,
        "image_id": image_id,
        "caption_image_id": torch.cat([image_id, image_id, image_id[:3]]).sort().values,
        "caption_text_id": torch.full((CAPTIONS,), -1),
        "image_text_ids": torch.zeros(IMAGES, 0, dtype=torch.int64),
    }
    return cast(Batch, found | changes)


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def step(module: RetrievalModule, batch: Batch) -> dict[str, Tensor]:
    """The loss of a training step and the gradients of all parameters, by name."""
    torch.manual_seed(2)
    loss = module.training_step(batch, 0)
    loss.backward()  # type: ignore[no-untyped-call]
    found = {name: value.grad for name, value in module.named_parameters() if value.grad is not None}
    return {"loss": loss.detach(), **found}


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor], atol: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=atol, rtol=1e-5, msg=name)


@pytest.mark.parametrize("chunk", [1, 2, 5])
@pytest.mark.parametrize("loss", [InfoNCE, lambda: InfoNCE(text_weight=0.5), lambda: SigLIP(IMAGES)])
def test_loss_and_gradients_are_those_of_the_whole_batch(loss: Any, chunk: int) -> None:
    whole = step(module(None, loss=loss()), batch())
    assert whole.keys() >= {f"model.{name}" for name, _ in module(None).model.named_parameters()}
    assert all(value.abs().max() > 1e-4 for value in whole.values())
    assert_equal(step(module(chunk, loss=loss()), batch()), whole)


def test_cached_features_of_both_towers() -> None:
    generator = torch.Generator().manual_seed(3)
    features = batch(
        image=torch.randn(IMAGES, 16, 2, 2, generator=generator),
        first_block=1,
        text_features=torch.randn(CAPTIONS, 24, generator=generator),
    )
    whole = step(module(None), features)
    assert "model.image_projection.1.weight" in whole
    assert not any(name.startswith("model.text_encoder") for name in whole)
    assert_equal(step(module(3), features), whole)


def test_the_second_pass_drops_what_the_first_one_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference encodes the same parts in the same order and keeps their activations."""
    found = step(module(3, dropout=0.5), batch())
    monkeypatch.setattr(grad_cache, "checkpoint", lambda encode, *part, **_: encode(*part))
    reference = step(module(3, dropout=0.5), batch())
    assert_equal(found, reference, atol=1e-7)
    assert not reference["loss"].equal(step(module(3), batch())["loss"])  # something was dropped


def test_the_second_pass_has_the_precision_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The backward pass runs outside of autocast, as in Lightning."""

    def half() -> dict[str, Tensor]:
        own = module(3)
        with torch.autocast("cpu", torch.bfloat16):
            images, texts = own.embed(batch())
        (images.float() @ texts.float().T).square().sum().backward()  # type: ignore[no-untyped-call]
        assert texts.dtype == torch.bfloat16
        return {name: value.grad for name, value in own.named_parameters() if value.grad is not None}

    found = half()
    monkeypatch.setattr(grad_cache, "checkpoint", lambda encode, *part, **_: encode(*part))
    assert_equal(found, half(), atol=1e-7)


def test_evaluation_is_not_chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grad_cache, "checkpoint", None)  # would fail
    with torch.no_grad():
        images, texts = module(1).eval().embed(batch())
    assert (len(images), len(texts)) == (IMAGES, CAPTIONS)


def test_sizes_of_parts() -> None:
    assert [number_of_chunks(7, size) for size in (None, 1, 3, 7, 8)] == [1, 7, 3, 1, 1]
    seen: list[tuple[int, int]] = []

    def encode(first: Tensor, second: Tensor) -> Tensor:
        seen.append((len(first), len(second)))
        return first * second

    numbers = torch.arange(7.0, requires_grad=True)
    found = in_chunks(encode, 3, numbers, numbers)
    assert seen == [(3, 3), (2, 2), (2, 2)]
    assert found.equal(numbers.square())
    few = in_chunks(encode, 9, numbers, numbers)  # more parts than rows
    assert few.equal(numbers.square())


def test_memory_depends_on_the_part_and_not_on_the_batch(tmp_path: Path) -> None:
    encode = nn.Sequential(nn.Linear(4, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 4))

    def peak(rows: int, chunks: int) -> int:
        """The most bytes that both passes have in use on the CPU, beyond those before them."""
        inputs, path = torch.randn(rows, 4), tmp_path / "trace.json"
        encode.zero_grad()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            in_chunks(encode, chunks, inputs).square().sum().backward()  # type: ignore[no-untyped-call]
        profiled.export_chrome_trace(str(path))
        events = [each["args"] for each in json.loads(path.read_text())["traceEvents"] if each["name"] == "[memory]"]
        return int(max(each["Total Allocated"] for each in events) - events[0]["Total Allocated"])

    assert peak(4096, 8) < 1.05 * peak(2048, 4)
    assert peak(4096, 8) < 0.4 * peak(4096, 1)


@pytest.mark.parametrize(
    ("stages", "train", "refused"),
    [
        ({"all": Stage()}, True, True),
        ({"all": Stage()}, False, False),
        ({"one": Stage(0, 1)}, True, False),  # the batch norm is in the first block
        ({"one": Stage(0, 1), "later": Stage(2)}, True, True),
    ],
)
def test_batch_norms_that_learn_are_refused(stages: dict[str, Stage], train: bool, refused: bool) -> None:
    images = PatchEncoder(train_batch_norm=train)
    model = DualEncoder(images, LSTMEncoder(8, 8, vocabulary=WORDS))
    plan = Plan(stages, len(images.blocks), len(model.text_encoder.blocks))
    check_grad_cache(None, model, plan)
    if refused:
        with pytest.raises(ConfigError, match=r"grad_cache=4.*model\.image_encoder\.train_batch_norm=false"):
            check_grad_cache(4, model, plan)
    else:
        check_grad_cache(4, model, plan)


def test_random_state_of_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the generator of the CPU in place of that of MPS."""
    monkeypatch.setattr(torch.mps, "get_rng_state", torch.get_rng_state)
    monkeypatch.setattr(torch.mps, "set_rng_state", torch.set_rng_state)
    first_pass, second_pass = same_draws("mps")
    with first_pass:
        drawn = torch.rand(3)
    torch.rand(1)
    expected = torch.get_rng_state()
    with second_pass:
        assert torch.rand(3).equal(drawn)
    assert torch.get_rng_state().equal(expected)


def process(number: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=number, world_size=2)
    try:
        own = module(2)
        replicas = nn.parallel.DistributedDataParallel(TrainingStep(own))
        whole, first = cast(dict[str, Any], batch()), number == 0
        images, captions = (whole["image_id"] < 4) == first, (whole["caption_image_id"] < 4) == first
        mine = {name: whole[name][images] for name in IMAGE}
        mine |= {name: whole[name][captions] for name in TEXT}
        replicas({**mine, "first_block": 0}).backward()
        torch.save({name: value.grad for name, value in own.named_parameters()}, Path(folder) / f"{number}.pt")
    finally:
        dist.destroy_process_group()


class TrainingStep(nn.Module):
    """The training step as a forward pass, as Lightning calls it."""

    def __init__(self, module: RetrievalModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Batch) -> Tensor:
        return self.module.training_step(batch, 0)


@pytest.mark.slow
def test_two_processes_equal_one_with_the_whole_batch(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(process, (str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call,attr-defined]
    expected = step(module(None), batch())
    expected.pop("loss")
    for number in range(2):
        assert_equal(torch.load(tmp_path / f"{number}.pt"), expected)


@pytest.mark.slow
def test_training_is_that_of_the_whole_batch(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "tests")
    tower = "{_target_:tests.models.towers.PatchEncoder,dropout:0,train_batch_norm:false}"
    config = (
        *(each for each in QUICK if "image_encoder" not in each),
        "~model.image_encoder",
        f"+model.image_encoder={tower}",
        "model.dropout=0",
        "model.text_encoder.dropout=0",
        "trainer.max_epochs=2",
        "optim.lr=1e-3",
    )
    whole, _ = train(compose(*config, output="whole"))
    parts, objects = train(compose(*config, "grad_cache=3", output="parts"))
    assert objects["module"].grad_cache == 3
    assert without_time(parts) == pytest.approx(without_time(whole), abs=1e-3)
    found, expected = weights(tmp_path / "runs/parts"), weights(tmp_path / "runs/whole")
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-3, rtol=1e-3)


def test_a_run_refuses_batch_norms_that_learn(compose: Compose) -> None:
    with pytest.raises(ConfigError, match="grad_cache=2: in stage whole"):
        train(compose(*QUICK, "grad_cache=2"))
    with pytest.raises(ConfigError, match="grad_cache=0"):
        train(compose(*QUICK, "grad_cache=0"))
