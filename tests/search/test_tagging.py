"""Labels for pictures, without training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imtext.errors import SearchError
from imtext.search import Bundle, Encoder, Predictor
from imtext.search.tagging import Tagger
from tests.conftest import changed_bundle, picture


def test_labels_are_ranked_by_similarity(encoder: Encoder, tmp_path: Path) -> None:
    predictor = Predictor(encoder)
    path = picture(tmp_path / "a.png", 0)
    vector = predictor.encode_image(path)
    labels = ["red circle", "blue star", "ring"]
    tagged = Tagger(encoder, labels, ["a {}"]).tag(vector)
    scores = predictor.encode_texts([f"a {label}" for label in labels]) @ vector
    assert [tag.text for tag in tagged] == [labels[place] for place in np.argsort(-scores)]
    np.testing.assert_allclose([tag.score for tag in tagged], np.sort(scores)[::-1], atol=1e-6)
    assert all(tag.relevance is not None for tag in tagged)
    assert predictor.tag_image(path, labels, ["a {}"], top_k=2) == tagged[:2]


def test_templates_are_averaged(encoder: Encoder) -> None:
    several = Tagger(encoder, ["red"], ["a {}", "two {} rings"])
    mean = encoder.encode_texts(["a red", "two red rings"]).mean(axis=0)
    np.testing.assert_allclose(several.vectors[0], mean / np.linalg.norm(mean), atol=1e-6)


def test_labels_are_cleaned(encoder: Encoder) -> None:
    assert Tagger(encoder, [" red", "", "blue ", "red"]).labels == ["red", "blue"]


def test_unknown_words_are_never_relevant(encoder: Encoder) -> None:
    (tag,) = Tagger(encoder, ["qwertz"]).tag(encoder.encode_texts(["a photo of a qwertz"])[0])
    assert tag.relevance == 0


def test_scores_only_without_a_calibration(bundle: Bundle, tmp_path: Path) -> None:
    tagger = Tagger(Encoder(changed_bundle(bundle, tmp_path / "plain", calibration=None)), ["red", "blue"])
    assert [tag.relevance for tag in tagger.tag(tagger.vectors[1])] == [None, None]
    assert tagger.tag(tagger.vectors[1])[0].text == "blue"


def test_refused(encoder: Encoder) -> None:
    with pytest.raises(SearchError, match="There are no labels"):
        Tagger(encoder, [" "])
    with pytest.raises(SearchError, match=r"'a photo' has no \{\} for the label"):
        Tagger(encoder, ["red"], ["{}", "a photo"])
