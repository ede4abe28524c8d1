"""Every image tower with every text tower: train, resume, export, index, search and serve."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from imtext.search import Index, load_bundle, parse_query
from imtext.search.server import create_app
from imtext.train import train
from imtext.training.checkpoints import load_model
from tests.conftest import Compose
from tests.runs import INTERRUPT, interrupt_at, same, weights, without_time

pytestmark = pytest.mark.slow

VIT = ["model/image_encoder=timm", "model.image_encoder.name=vit_tiny_patch16_224"]
LITE = ["model/image_encoder=timm", "model.image_encoder.name=tf_efficientnet_lite0"]
IMAGE_TOWERS = {
    "mobilenet_v3_small": ["model/image_encoder=mobilenet_v3_small"],
    "mobilenet_v3_large": ["model/image_encoder=mobilenet_v3_large"],
    "vit": [*VIT, "model.image_encoder.image_size=32"],
    "efficientnet_lite": LITE,
}
RECURRENT = ["model.text_encoder.word_dim=16", "model.text_encoder.hidden_dim=24"]
TEXT_TOWERS = {
    "lstm": ["model/text_encoder=lstm", *RECURRENT],
    "gru": ["model/text_encoder=gru", *RECURRENT],
    "transformer": ["model/text_encoder=transformer", "model.text_encoder.word_dim=16"],
    "bow": ["model/text_encoder=bow", "model.text_encoder.word_dim=16"],
    "hf": ["model/text_encoder=hf", "model.text_encoder.name={folder}/bert"],
    "static": ["model/text_encoder=static", "model.text_encoder.path={folder}/vectors.txt"],
}
SHORT = [
    "data=shapes", "data.num_images=40", "data.image_size=32", "data.batch_size=8", "data.ratios=[0.4,0.6,0]",
    "model.image_encoder.weights=null", "model.embed_dim=32", "optim.lr=1e-3", "trainer=cpu", "trainer.max_epochs=2",
    "callbacks.progress=null", "callbacks.examples=null", "logger=none", "baseline=false", "bundle=false",
]  # fmt: skip
WORDS = [
    "a",
    "red",
    "green",
    "blue",
    "yellow",
    "black",
    "white",
    "circle",
    "square",
    "triangle",
    "large",
    "small",
    "on",
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT in the layout of Hugging Face, and word vectors as text."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(0)
    shape = BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    BertModel(shape).save_pretrained(folder / "bert")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    backend = Tokenizer(models.WordPiece({word: n for n, word in enumerate(special + WORDS)}, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    backend.enable_padding(pad_id=0, pad_token="[PAD]")
    backend.save(str(folder / "bert" / "tokenizer.json"))
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), 12))
    lines = [f"{word} {' '.join(f'{x:.4f}' for x in row)}" for word, row in zip(WORDS, vectors, strict=True)]
    (folder / "vectors.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize(("image", "text"), list(product(IMAGE_TOWERS, TEXT_TOWERS)))
def test_trains_resumes_exports_and_searches(
    image: str, text: str, files: Path, compose: Compose, tmp_path: Path, gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*IMAGE_TOWERS[image], *(each.format(folder=files) for each in TEXT_TOWERS[text]), *SHORT]

    straight, objects = train(compose(*settings, "bundle=true", output="straight"))
    learning, state = objects["module"].model.named_parameters(), objects["trainer"].optimizers[0].state
    assert not [name for name, each in learning if each.requires_grad and each not in state], "without a gradient"
    interrupt_at(monkeypatch, epoch=1, batch=0)
    with pytest.raises(RuntimeError, match="interrupted"):
        train(compose(*settings, INTERRUPT, output="resumed"))
    resumed, _ = train(compose(*settings, "ckpt_path=last", output="resumed"))
    runs = tmp_path / "runs"
    assert same(weights(runs / "resumed"), weights(runs / "straight"))
    assert without_time(resumed) == without_time(straight)

    # The bundle was compared with the model when it was written; here it is used.
    index = Index.create(tmp_path / "index", bundle := load_bundle(runs / "straight"))
    index.update([str(gallery)])
    found = index.search(parse_query("a red circle"), top_k=3)
    trained = load_model(runs / "straight" / "checkpoints" / "best.ckpt")
    assert len(found) == 3
    assert bundle.embed_dim == 32
    np.testing.assert_allclose(
        index.encoder.encode_texts(["a red circle"]), trained.encode_texts(["a red circle"]), atol=1e-4
    )
    with TestClient(create_app(tmp_path / "index"), base_url="http://localhost") as client:
        answer = client.get("/search", params={"q": "a red circle", "top_k": 3, "min_relevance": 0})
        assert [one["score"] for one in json.loads(answer.text)["results"]] == pytest.approx(
            [result.score for result in found], abs=1e-5
        )
