"""Embeddings of pictures and texts by a bundle's graphs and tokenizer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from imtext.errors import BundleError
from imtext.preprocess.tokenizer import JsonTokenizer, Vocabulary, load_tokenizer
from imtext.search import Bundle, Encoder, Index, Predictor, parse_query
from imtext.search.bundle import load_bundle, write_bundle
from tests.conftest import changed_bundle

TEXTS = ["a red circle", "two big blue stars to the left of a ring", "dot", "a green square below a small triangle"]


@pytest.fixture(scope="module")
def pretrained() -> JsonTokenizer:
    """Byte-pair encoding as in a pretrained text encoder: no unknown token, and padding is not id 0."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=40, special_tokens=["<s>", "</s>", "<pad>"], show_progress=False)
    backend.train_from_iterator(TEXTS, trainer)
    ids = [(token, backend.token_to_id(token)) for token in ("<s>", "</s>")]
    backend.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ids)
    return load_tokenizer(backend.to_str(), max_length=16)


@pytest.fixture
def bundle_of_pretrained(bundle: Bundle, pretrained: JsonTokenizer, tmp_path: Path) -> Bundle:
    graphs = {name: bundle.read(file) for name, file in bundle.graphs.items()}
    return write_bundle(tmp_path / "pretrained", graphs, pretrained, bundle.manifest)


def test_batches_do_not_change_the_answer(encoder: Encoder) -> None:
    texts = [f"{TEXTS[number % 4]} {'red ' * (number % 7)}" for number in range(70)]
    together = encoder.encode_texts(texts)
    for text, vector in list(zip(texts, together, strict=True))[::9]:
        np.testing.assert_allclose(encoder.encode_texts([text])[0], vector, atol=1e-6)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    images = encoder.encode_images(iter(pixels))
    np.testing.assert_allclose(encoder.encode_images(pixels[35:36])[0], images[35], atol=1e-6)


def test_nothing_to_embed(encoder: Encoder) -> None:
    assert encoder.encode_texts([]).shape == encoder.encode_images([]).shape == (0, 32)


def test_text_of_any_kind(encoder: Encoder) -> None:
    texts = ["", " ", "🐕 كلب", "\0\n\t", "x" * 5000, "\udce9", "[PAD] [EOS]"]
    embeddings = encoder.encode_texts(texts)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_graph_of_another_size(bundle: Bundle, tmp_path: Path) -> None:
    wrong = Encoder(changed_bundle(bundle, tmp_path / "wrong", embed_dim=33))
    with pytest.raises(BundleError, match=r"text\.onnx gives embeddings of 32 numbers, but the manifest says 33"):
        wrong.encode_texts(["a"])
    with pytest.raises(BundleError, match=r"image\.onnx gives embeddings of 32 numbers"):
        wrong.encode_images([np.zeros((32, 32, 3), np.uint8)])


def test_graph_that_is_none(bundle: Bundle, tmp_path: Path) -> None:
    broken = Encoder(changed_bundle(bundle, tmp_path / "broken", {"image": b"no graph"}))
    with pytest.raises(BundleError, match=r"image\.onnx cannot be loaded"):
        broken.encode_images([np.zeros((32, 32, 3), np.uint8)])
    assert broken.encode_texts(["a"]).shape == (1, 32), "each graph is loaded when it is needed"


def test_bundle_replaced_after_it_was_opened(bundle: Bundle, tmp_path: Path) -> None:
    encoder = Encoder(changed_bundle(bundle, tmp_path / "bundle"))
    changed_bundle(bundle, tmp_path / "bundle", {"text": bundle.read("image.onnx")})
    with pytest.raises(BundleError, match=r"text\.onnx is not the file that was exported"):
        encoder.encode_texts(["a"])


def test_tokenizer_facts_come_from_the_manifest(bundle_of_pretrained: Bundle, pretrained: JsonTokenizer) -> None:
    opened = load_bundle(bundle_of_pretrained.path)
    assert opened.vocabulary == pretrained.vocabulary
    assert (opened.vocabulary.kind, opened.vocabulary.pad_id, opened.vocabulary.unk_id) == ("pretrained", 2, None)
    encoder = Encoder(opened)
    assert encoder.tokenizer.vocabulary == opened.vocabulary
    ids, mask = encoder.tokenizer(TEXTS)
    assert set(ids[~mask].tolist()) == {2}


def test_manifest_and_tokenizer_that_disagree(bundle: Bundle, tmp_path: Path) -> None:
    class Wrong(JsonTokenizer):
        @property
        def vocabulary(self) -> Vocabulary:
            return replace(super().vocabulary, pad_id=7)

    tokenizer = Wrong(tokenizers.Tokenizer.from_str(bundle.read("tokenizer.json").decode()), "words")
    graphs = {name: bundle.read(file) for name, file in bundle.graphs.items()}
    wrong = write_bundle(tmp_path / "wrong", graphs, tokenizer, bundle.manifest)
    with pytest.raises(BundleError, match=r"tokenizer\.json is not the tokenizer of the manifest.*pad_id=7"):
        Encoder(wrong).encode_texts(["a"])


def test_pretrained_tokenizer_everywhere(bundle_of_pretrained: Bundle, gallery: Path, tmp_path: Path) -> None:
    """A tokenizer.json with another vocabulary works in encoder, index, predictor and ranking."""
    encoder, paths = Encoder(bundle_of_pretrained, threads=1), sorted(gallery.rglob("*.png"))
    together = encoder.encode_texts(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(encoder.encode_texts([text])[0], vector, atol=1e-6)
    index = Index.create(tmp_path / "index", bundle_of_pretrained)
    index.update([str(gallery)])
    found = Index(tmp_path / "index").search(parse_query("a red circle"), top_k=3)
    predictor = Predictor(encoder)
    ranked = predictor.rank_images("a red circle", paths, top_k=3)
    assert [result.path for result in found] == [result.path for result in ranked]
    assert ranked[0].relevance is not None
    assert ranked[0].relevance > 0, "without an unknown token every word is known"
    long = "a red circle " * 10
    assert predictor.query_notes(long)[0].startswith("The query is too long for the model (16 tokens); not read: ")
    assert predictor.rank_texts(paths[0], [*TEXTS, long])[0].relevance is not None
