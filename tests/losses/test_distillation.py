"""Distillation: values by hand, the teacher's entropy as its minimum, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from imtext.errors import ConfigError
from imtext.losses import Distillation
from imtext.losses.targets import Targets


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def targets(teacher: Tensor | None, captions: int = 1) -> Targets:
    """B images with as many captions each."""
    size = len(teacher) if teacher is not None else 2
    return Targets(torch.eye(size, dtype=torch.bool).repeat_interleave(captions, dim=1), teacher)


def entropy(logits: Tensor, dim: int) -> float:
    """Mean entropy of the softmax in one direction."""
    return float(-torch.special.xlogy(logits.softmax(dim), logits.softmax(dim)).sum(dim).mean())


def test_two_pairs_by_hand() -> None:
    teacher = torch.tensor([[math.log(3), 0.0], [0.0, math.log(3)]])  # softmax: 3/4 and 1/4 in both directions
    student = torch.eye(2)  # at temperature 1/2: logits 2 and 0
    loss = Distillation(teacher_temperature=1)(student, student, targets(teacher), torch.tensor(2.0).log())
    right, wrong = math.exp(2) / (math.exp(2) + 1), 1 / (math.exp(2) + 1)
    assert loss["distillation_loss"].item() == pytest.approx(-0.75 * math.log(right) - 0.25 * math.log(wrong))


def test_the_directions_are_normalised_separately() -> None:
    """Three captions of two images: every query counts once in its direction."""
    images, texts, teacher = unit(2, 8), unit(3, 8, seed=1), unit(2, 8, seed=2) @ unit(3, 8, seed=3).T
    logits, soft = (images @ texts.T / 0.1).tolist(), (teacher / 0.2).tolist()

    def cross_entropy(wanted: list[float], given: list[float]) -> float:
        sums = [sum(map(math.exp, each)) for each in (wanted, given)]
        return -sum(math.exp(p) / sums[0] * (q - math.log(sums[1])) for p, q in zip(wanted, given, strict=True))

    rows = sum(cross_entropy(soft[b], logits[b]) for b in range(2)) / 2
    columns = sum(cross_entropy([s[n] for s in soft], [row[n] for row in logits]) for n in range(3)) / 3
    found = Distillation(0.2)(images, texts, Targets(teacher > 2, teacher), torch.tensor(10.0).log())
    assert found["distillation_loss"].item() == pytest.approx((rows + columns) / 2, rel=1e-5)


def test_a_student_equal_to_its_teacher_has_the_teachers_entropy() -> None:
    images, texts = unit(5, 8), unit(10, 8, seed=1)
    teacher = images @ texts.T
    least = (entropy(teacher / 0.05, 0) + entropy(teacher / 0.05, 1)) / 2
    equal = Distillation(0.05)(images, texts, targets(teacher, 2), torch.tensor(20.0).log())["distillation_loss"]
    assert float(equal) == pytest.approx(least, rel=1e-5)
    other = Distillation(0.05)(unit(5, 8, seed=2), texts, targets(teacher, 2), torch.tensor(20.0).log())
    assert float(other["distillation_loss"]) > least + 0.1


def test_chance_does_not_depend_on_the_teacher() -> None:
    for seed in (0, 1):
        teacher = unit(4, 8, seed=seed) @ unit(12, 8, seed=2).T
        chance = Distillation().chance(targets(teacher, 3))
        assert float(chance) == pytest.approx((math.log(4) + math.log(12)) / 2)


def test_both_towers_and_the_temperature_learn() -> None:
    images, texts, scale = unit(4, 8).requires_grad_(), unit(4, 8, seed=1).requires_grad_(), torch.tensor(3.0)
    scale.requires_grad_()
    teacher = unit(4, 6, seed=2) @ unit(4, 6, seed=3).T
    Distillation()(images, texts, targets(teacher), scale)["distillation_loss"].backward()
    for each in (images, texts, scale):
        assert each.grad is not None
        assert each.grad.isfinite().all()
        assert each.grad.abs().max() > 0


def test_single_precision_under_autocast() -> None:
    images, texts, teacher = unit(4, 8), unit(4, 8, seed=1), unit(4, 8, seed=2) @ unit(4, 8, seed=3).T
    scale = torch.tensor(math.log(100.0))
    exact = Distillation()(images, texts, targets(teacher), scale)["distillation_loss"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert Distillation()(images, texts, targets(teacher), scale)["distillation_loss"].equal(exact)


def test_without_a_teacher() -> None:
    with pytest.raises(ConfigError, match=r"the data has none.*python -m imtext\.embed.*data\.teacher="):
        Distillation()(unit(2, 4), unit(2, 4), targets(None), torch.tensor(0.0))


def test_the_temperature_is_above_zero() -> None:
    with pytest.raises(ConfigError, match="teacher_temperature must be above zero, not 0"):
        Distillation(0)
