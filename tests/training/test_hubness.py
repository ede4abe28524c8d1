"""Fitting the correction of hubs, and what becomes of it in checkpoint, bundle and resumed runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from imtext.evaluate import evaluate
from imtext.export import export
from imtext.models.hubness import EXTRA
from imtext.search import Encoder
from imtext.train import train
from imtext.training.checkpoints import load_model
from imtext.training.hubness import fit_hubness
from imtext.training.run import build_run
from imtext.training.sweep.bench import Bench
from tests.conftest import Compose
from tests.runs import QUICK

RUN = [*QUICK, "optim.lr=3e-3", "trainer.max_epochs=2", "trainer.check_val_every_n_epoch=2", "model.hubness_bank=6"]


def test_a_model_without_banks_stays_as_it_is(compose: Compose) -> None:
    run = build_run(compose(*QUICK, "trainer.precision=32-true"))
    before = {name: value.clone() for name, value in run.module.model.state_dict().items()}
    fit_hubness(run.module.model, run.data, torch.device("cpu"))
    after = run.module.model.state_dict()
    assert before.keys() == after.keys()
    assert not any("hubness" in name for name in after)


def test_banks_are_clusters_of_training_embeddings(compose: Compose) -> None:
    run = build_run(compose(*RUN, "trainer.precision=32-true"))
    model = run.module.model
    assert model.hubness is not None
    assert model.embed_dim == 32
    fit_hubness(model, run.data, torch.device("cpu"))
    assert model.embed_dim == 32 + EXTRA
    assert model.training
    assert model.hubness.log_weight.exp().sum(1) == pytest.approx(1, abs=1e-4)
    first = model.hubness.bank.clone()
    fit_hubness(model, run.data, torch.device("cpu"))  # a second time from the same embeddings
    assert model.hubness.bank.equal(first)


def test_more_queries_than_pictures(compose: Compose) -> None:
    run = build_run(compose(*RUN, "trainer.precision=32-true", "model.hubness_bank=50"))
    fit_hubness(run.module.model, run.data, torch.device("cpu"))
    model = run.module.model.eval()
    assert model.encode_image(torch.rand(2, 3, 32, 32)).norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_checkpoint_evaluation_and_bundle_agree(compose: Compose, tmp_path: Path) -> None:
    metrics, _ = train(compose(*RUN))
    best = tmp_path / "runs" / "run" / "checkpoints" / "best.ckpt"
    trained = load_model(best)
    assert trained.model.hubness is not None
    assert trained.model.hubness.fitted
    again, _ = evaluate(compose(f"ckpt_path={best}", "split=val", "trainer=cpu", name="evaluate", output="evaluated"))
    assert {name: again[name] for name in again if "_r@" in name and "low" not in name} == pytest.approx(
        {name: metrics[name] for name in again if "_r@" in name and "low" not in name}
    )
    data = build_run(compose(*RUN, "trainer.precision=32-true")).data
    bundle = export(trained, data, tmp_path / "bundle", {}, {})  # proves that both agree
    assert bundle.embed_dim == 32 + EXTRA
    texts = ["a red circle", "two blue squares"]
    ours = trained.encode_texts(texts).numpy()
    assert np.allclose(Encoder(bundle).encode_texts(texts), ours, atol=1e-5)


def test_a_trial_of_a_sweep_is_corrected_as_well(compose: Compose) -> None:
    ours, (theirs, _) = Bench().run(compose(*RUN)), train(compose(*RUN))
    for name in (name for name in ours if name.startswith("val/")):
        assert ours[name] == pytest.approx(theirs[name], abs=1e-5), name


def test_training_starts_without_the_correction(compose: Compose) -> None:
    run = build_run(compose(*RUN, "trainer.precision=32-true"))
    model = run.module.model
    fit_hubness(model, run.data, torch.device("cpu"))
    run.module.on_fit_start()
    assert model.hubness is not None
    assert not model.hubness.fitted
    assert model.eval().encode_image(torch.rand(2, 3, 32, 32)).shape == (2, 32)
