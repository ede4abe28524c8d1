"""Word vectors from captions: near where words describe the same pictures."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn import functional as F

from imtext.data.shapes import Shapes
from imtext.data.word_vectors import latent_semantics

PAD, A, DOG, PUPPY, CAR, TRUCK, UNUSED = range(7)
DOCUMENTS = [[A, DOG, A, PUPPY], [A, PUPPY, DOG, DOG], [A, CAR, TRUCK], [A, TRUCK, A, CAR], [A, DOG], [A, TRUCK]]


def test_words_of_the_same_pictures_are_near() -> None:
    vectors = latent_semantics(DOCUMENTS, 7, 2)
    near = F.normalize(vectors, dim=1) @ F.normalize(vectors, dim=1).T
    assert near[DOG, PUPPY] > 0.7 > 0.3 > near[DOG, CAR]
    assert near[CAR, TRUCK] > 0.7
    assert not vectors[[PAD, A, UNUSED]].any()  # nowhere, or everywhere: it tells nothing apart
    assert abs(float(vectors.std(unbiased=False)) - 1) < 1e-5


def test_more_dimensions_than_there_are_to_find() -> None:
    vectors = latent_semantics(DOCUMENTS, 7, 20)
    assert vectors.shape == (7, 20)
    assert not vectors[:, 7:].any()
    assert vectors.isfinite().all()


def test_the_same_every_time() -> None:
    torch.manual_seed(1)
    one = latent_semantics(DOCUMENTS, 7, 3)
    torch.manual_seed(2)
    assert one.equal(latent_semantics(DOCUMENTS, 7, 3))


def test_only_training_captions_count(tmp_path: Path) -> None:
    data = Shapes(40, image_size=32, ratios=(0.5, 0.25, 0.25), cache_dir=str(tmp_path))
    data.setup()
    before = data.word_vectors(8)
    for row in (*data.rows["val"], *data.rows["test"]):
        data.captions[row] = ["a red star"] * 50
    assert data.word_vectors(8).equal(before)
    data.captions[data.rows["train"][0]] = ["a red star"] * 50
    assert not data.word_vectors(8).equal(before)
