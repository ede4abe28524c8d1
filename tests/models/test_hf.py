"""Text encoders of the transformers library: many families, tiny and with random weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from transformers import AutoModel

from imtext.errors import ConfigError
from imtext.export import export_run
from imtext.models import HuggingFaceEncoder
from imtext.models.hf_files import Pooling
from imtext.preprocess.tokenizer import Vocabulary
from imtext.search import Encoder
from imtext.train import train
from imtext.training.checkpoints import load_model
from tests.conftest import Compose
from tests.models.captions import VOCABULARY, captions, check_graph, check_learning, check_padding
from tests.models.tiny_hf import SIZES, tiny_folder
from tests.runs import INTERRUPT, QUICK, interrupt_at, same, weights

FAMILIES: dict[str, tuple[dict[str, Any], int]] = {  # sizes, and number of blocks
    "bert": (SIZES, 3),
    "roberta": ({**SIZES, "max_position_embeddings": 66}, 3),
    "mpnet": ({**SIZES, "max_position_embeddings": 66}, 3),
    "distilbert": ({"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64}, 3),
    "modernbert": ({**SIZES, "local_attention": 8, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1,
                    "sep_token_id": 2}, 4),
    "t5": ({"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}, 4),
}  # fmt: skip
QUICK_HF = [*(setting for setting in QUICK if "text_encoder" not in setting), "model/text_encoder=hf"]


def tower(family: str = "bert", **options: Any) -> HuggingFaceEncoder:
    torch.manual_seed(0)
    architecture = {"model_type": family, **FAMILIES[family][0]}
    return HuggingFaceEncoder(**{"architecture": architecture, "vocabulary": VOCABULARY, **options})


def from_folder(folder: Path, **options: Any) -> tuple[HuggingFaceEncoder, Any]:
    tokenizer = HuggingFaceEncoder.read_tokenizer({"name": str(folder)}, 64)
    assert tokenizer is not None
    return HuggingFaceEncoder(str(folder), **options, vocabulary=tokenizer.vocabulary), tokenizer


@pytest.mark.parametrize("family", FAMILIES)
def test_families(family: str) -> None:
    encoder = tower(family)
    assert len(encoder.blocks) == FAMILIES[family][1]
    check_padding(encoder)
    check_learning(encoder)
    for frozen in range(len(encoder.blocks)):
        encoder.freeze(frozen)
        assert any(value.requires_grad for value in encoder.blocks[frozen].parameters())


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_pooling(pooling: Pooling) -> None:
    check_padding(tower(pooling=pooling))


@pytest.mark.parametrize("family", ["bert", "modernbert", "t5"])
def test_exported_like_trained(family: str) -> None:
    check_graph(tower(family))


def test_a_folder_has_the_features_of_its_own_library(tmp_path: Path) -> None:
    encoder, tokenizer = from_folder(tiny_folder(tmp_path))
    ids, mask = map(torch.from_numpy, tokenizer(["a red circle", "the ring"]))
    states = AutoModel.from_pretrained(tmp_path).eval()(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    expected = torch.stack([states[0, :5].mean(0), states[1, :4].mean(0)])
    torch.testing.assert_close(encoder.eval()(ids, mask), expected, atol=1e-5, rtol=1e-5)
    other, _ = from_folder(tmp_path, weights=None)
    assert not torch.allclose(other.eval()(ids, mask), expected, atol=1e-2)


@pytest.mark.parametrize("rank", [0, 2])
def test_rebuilt_without_the_folder(tmp_path: Path, rank: int) -> None:
    encoder, tokenizer = from_folder(tiny_folder(tmp_path / "model", layer_norm_eps=0.1), lora_rank=rank)
    shutil.rmtree(tmp_path / "model")
    settings = json.loads(json.dumps({"lora_rank": rank, **encoder.settings_without_files()}))
    again = HuggingFaceEncoder(**settings, vocabulary=tokenizer.vocabulary)
    again.load_state_dict(encoder.state_dict())
    assert again.eval()(*captions_of(tokenizer)).equal(encoder.eval()(*captions_of(tokenizer)))


def captions_of(tokenizer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    ids, mask = tokenizer(["a red circle", "the ring on the left"])
    return torch.from_numpy(ids), torch.from_numpy(mask)


def test_what_a_folder_lacks_is_named(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")  # pickled weights are not read
    with pytest.raises(ConfigError, match=r"Weights are read from model\.safetensors"):
        from_folder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"config\.json is missing"):
        from_folder(folder)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    tiny_folder(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ConfigError, match=r"lack encoder\.layer\.2"):
        from_folder(tmp_path)


def test_mistakes() -> None:
    with pytest.raises(ConfigError, match=r"text_encoder\.name is needed"):
        HuggingFaceEncoder.read_tokenizer({}, 64)
    with pytest.raises(ConfigError, match=r"text_encoder\.name is needed"):
        HuggingFaceEncoder(vocabulary=VOCABULARY)
    with pytest.raises(ConfigError, match=r"pooling must be one of mean, cls, eos, max"):
        tower(pooling="sum")
    with pytest.raises(ConfigError, match="lora_rank must be 0 or more"):
        tower(lora_rank=-1)
    with pytest.raises(ConfigError, match="architecture: Unrecognized model"):
        tower(architecture={"model_type": "unheard_of"})
    with pytest.raises(ConfigError, match="is no text encoder"):
        tower(architecture={"model_type": "vit"})
    with pytest.raises(ConfigError, match="has 10 tokens, but the tokenizer has 50"):
        tower(architecture={"model_type": "bert", "vocab_size": 10, **SIZES})
    with pytest.raises(ConfigError, match=r"reads 64 tokens: set data\.max_text_length to 64"):
        tower(vocabulary=Vocabulary("words", 50, 0, 1, 65))


def test_the_tokenizer_of_the_data_fits_an_architecture() -> None:
    assert HuggingFaceEncoder.read_tokenizer({"architecture": {"model_type": "bert"}}, 64) is None
    embeddings = tower().network.get_input_embeddings()  # type: ignore[operator]
    assert embeddings.num_embeddings == VOCABULARY.size
    assert tower().eval()(*captions()).shape == (12, 16)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 2])
def test_a_run_does_not_need_its_folder_afterwards(compose: Compose, tmp_path: Path, rank: int) -> None:
    folder = tiny_folder(tmp_path / "model")
    lora = f"model.text_encoder.lora_rank={rank}"
    train(compose(*QUICK_HF, f"model.text_encoder.name={folder}", lora, "trainer.max_epochs=1"))
    shutil.rmtree(folder)
    checkpoint = tmp_path / "runs/run/checkpoints/last.ckpt"
    texts = ["a red circle", "two blue rings on a green background"]
    expected = load_model(checkpoint).encode_texts(texts)
    bundle = export_run(str(checkpoint), tmp_path / "bundle")
    found = torch.from_numpy(Encoder(bundle, threads=1).encode_texts(texts))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_resumed_equals_straight(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_folder(tmp_path / "model")
    run = [*QUICK_HF, f"model.text_encoder.name={folder}", "model.text_encoder.lora_rank=2", "trainer.max_epochs=2"]
    train(compose(*run, output="straight"))
    interrupt_at(monkeypatch, epoch=1, batch=1)
    with pytest.raises(RuntimeError, match="interrupted"):
        train(compose(*run, INTERRUPT, output="resumed"))
    train(compose(*run, "ckpt_path=last", output="resumed"))
    assert same(weights(tmp_path / "runs/resumed"), weights(tmp_path / "runs/straight"))


@pytest.mark.slow
def test_frozen_features_are_cached(compose: Compose, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model")
    frozen = ["stages.whole.frozen_text_blocks=all", "stages.whole.cache_text=true", "trainer.max_epochs=1"]
    metrics, _ = train(compose(*QUICK_HF, f"model.text_encoder.name={folder}", *frozen))
    assert "test/rsum" in metrics
    assert len(list((tmp_path / "cache").glob("text-features-*.npy"))) == 1
