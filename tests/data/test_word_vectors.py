"""Word vectors from captions: close for words that describe the same pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array
from sklearn.utils.extmath import randomized_svd
from torch.nn import functional as F

from imtext.data.shapes import Shapes
from imtext.data.word_vectors import latent_semantics
from imtext.preprocess import Preprocess
from tests.data.shared import Characters, shapes

PAD, A, DOG, PUPPY, CAR, TRUCK, UNUSED = range(7)
DOCUMENTS = [[A, DOG, A, PUPPY], [A, PUPPY, DOG, DOG], [A, CAR, TRUCK], [A, TRUCK, A, CAR], [A, DOG], [A, TRUCK]]


def test_words_of_the_same_pictures_are_close() -> None:
    vectors = latent_semantics(DOCUMENTS, 7, 2)
    near = F.normalize(vectors, dim=1) @ F.normalize(vectors, dim=1).T
    assert near[DOG, PUPPY] > 0.7 > 0.3 > near[DOG, CAR]
    assert near[CAR, TRUCK] > 0.7
    assert not vectors[[PAD, A, UNUSED]].any()  # words of no picture or of all pictures carry no information
    assert abs(float(vectors.std(unbiased=False)) - 1) < 1e-5


def test_more_dimensions_than_words() -> None:
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
    data._word_vectors.clear()
    assert data.word_vectors(8).equal(before)
    data.captions[data.rows["train"][0]] = ["a red star"] * 50
    data._word_vectors.clear()
    assert not data.word_vectors(8).equal(before)


def test_equal_to_the_formula(tmp_path: Path) -> None:
    """Bit for bit: recorded runs start from these vectors."""
    data = shapes(tmp_path)
    size = data.tokenizer.vocabulary.size
    documents = []
    for row in data.rows["train"]:
        ids, mask = data.tokenizer(data.captions[row])
        documents.append(ids[mask])
    table = np.stack([np.bincount(ids, minlength=size) for ids in documents])
    having = (table > 0).sum(axis=0)
    rarity = np.where(having > 0, np.log(len(table) / np.maximum(having, 1)), 0)
    _, strengths, directions = randomized_svd(csr_array(np.log1p(table)) * rarity, 8, random_state=0)
    expected = (directions.T * np.sqrt(strengths)).astype(np.float32)
    expected[rarity == 0] = 0
    assert (data.word_vectors(8).numpy() == expected / expected.std()).all()


def test_another_tokenizer(tmp_path: Path) -> None:
    data = Shapes(40, image_size=32, cache_dir=str(tmp_path))
    data.use_model(Preprocess(32), Characters())
    data.setup()
    vectors = data.word_vectors(4)
    assert vectors.shape == (28, 4)
    assert not vectors[Characters.vocabulary.pad_id].any()
    assert vectors.any()
