"""A pretrained text encoder beside an LSTM: both read, one learns, and no caption is read twice by a frozen one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from imtext.export import export_run
from imtext.models import HuggingFaceEncoder, HuggingFaceLSTMEncoder, LSTMEncoder
from imtext.search import Encoder
from imtext.train import train
from imtext.training.checkpoints import load_model
from tests.conftest import Compose
from tests.models.captions import VOCABULARY, captions, check_graph, check_learning, check_padding
from tests.models.tiny_hf import SIZES, tiny_folder
from tests.runs import INTERRUPT, QUICK, interrupt_at, same, weights

BERT = {"model_type": "bert", **SIZES}
QUICK_BOTH = [
    *(setting for setting in QUICK if "text_encoder" not in setting),
    "model/text_encoder=hf_lstm", "model.text_encoder.word_dim=8", "model.text_encoder.hidden_dim=8",
    "stages.whole.frozen_text_blocks=-2",
]  # fmt: skip


def tower(**options: Any) -> HuggingFaceLSTMEncoder:
    torch.manual_seed(0)
    return HuggingFaceLSTMEncoder(
        **{"architecture": BERT, "word_dim": 6, "hidden_dim": 5, "vocabulary": VOCABULARY, **options}
    )


def test_a_text_tower_like_the_others() -> None:
    encoder = tower(word_dropout=0.1)
    assert encoder.num_features == 16 + 5 + 6
    check_padding(encoder)
    check_learning(encoder)
    check_graph(encoder)


def test_features_of_both_stand_side_by_side() -> None:
    encoder = tower().eval()
    ids, mask = captions()
    torch.testing.assert_close(encoder(ids, mask)[:, :16], encoder.sentence(ids, mask))
    torch.testing.assert_close(encoder(ids, mask)[:, 16:], encoder.words(ids, mask))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of captions that the pretrained encoder reads in each call."""
    counts: list[int] = []
    forward = HuggingFaceEncoder.forward

    def counted(self: HuggingFaceEncoder, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        counts.append(len(ids))
        return forward(self, ids, mask)

    monkeypatch.setattr(HuggingFaceEncoder, "forward", counted)
    return counts


def test_a_frozen_encoder_reads_a_caption_once(read: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imtext.models.hf_lstm.AT_ONCE", 8)
    encoder = tower().train()
    wanted = [encoder.wants_captions]  # nothing is frozen
    ids, mask = captions()
    encoder.freeze(len(encoder.sentence.blocks))
    expected = encoder.sentence(ids, mask).detach()
    wanted.append(encoder.wants_captions)
    encoder.read(torch.cat([ids, ids[:3]]), torch.cat([mask, mask[:3]]))
    encoder.freeze(len(encoder.sentence.blocks))  # as at the start of every epoch
    assert [*wanted, encoder.wants_captions] == [False, True, False]
    assert read == [12, 8, 4]
    twice = torch.cat([ids[:8], ids[:3]]), torch.cat([mask[:8], mask[:3]])
    torch.testing.assert_close(encoder(*twice)[:, :16], expected[[*range(8), 0, 1, 2]])
    found = encoder(*captions(padding=9))
    torch.testing.assert_close(found[:, :16], expected)
    assert read == [12, 8, 4]
    found.sum().backward()
    assert all(value.grad is None for value in encoder.sentence.parameters())
    assert all(value.grad is not None for value in encoder.words.parameters())
    encoder.freeze(0)
    encoder(ids, mask).sum().backward()  # its gradients need it anew
    assert read == [12, 8, 4, 12]
    assert any(value.grad is not None for value in encoder.sentence.parameters())


def test_kept_features_do_not_depend_on_the_order_of_captions() -> None:
    ids, mask = captions()
    found = []
    for order in (torch.arange(12), torch.arange(11, -1, -1)):
        encoder = tower().train()
        encoder.freeze(len(encoder.sentence.blocks))
        encoder.read(ids[order], mask[order])
        found.append(encoder(ids, mask)[:, :16])
    assert found[0].equal(found[1])


def test_other_captions_are_read_in_batches(read: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    ids, mask = captions()
    encoder = tower().train()
    encoder.freeze(len(encoder.sentence.blocks))
    encoder.read(ids[:4], mask[:4])
    torch.testing.assert_close(encoder(ids, mask)[:, :16], encoder.sentence(ids, mask).detach())
    monkeypatch.setattr("imtext.models.hf_lstm.MOST", 5)
    encoder.freeze(0)
    encoder.freeze(len(encoder.sentence.blocks))
    read.clear()
    encoder.read(ids, mask)
    assert read == []
    assert not encoder.wants_captions, "there are too many"
    encoder(ids[:2], mask[:2])
    assert read == [2]


def test_the_pretrained_blocks_are_counted(tmp_path: Path) -> None:
    assert tower().num_pretrained == 0
    tokenizer = HuggingFaceLSTMEncoder.read_tokenizer({"name": str(tiny_folder(tmp_path))}, 64)
    assert tokenizer is not None
    encoder = HuggingFaceLSTMEncoder(str(tmp_path), vocabulary=tokenizer.vocabulary)
    assert encoder.num_pretrained == len(encoder.sentence.blocks) == len(encoder.blocks) - 2
    alone = HuggingFaceEncoder(str(tmp_path), vocabulary=tokenizer.vocabulary)
    assert same(alone.state_dict(), encoder.sentence.state_dict())


def test_rebuilt_without_the_folder(tmp_path: Path) -> None:
    tokenizer = HuggingFaceLSTMEncoder.read_tokenizer({"name": str(tiny_folder(tmp_path / "model"))}, 64)
    assert tokenizer is not None
    encoder = HuggingFaceLSTMEncoder(str(tmp_path / "model"), word_dim=6, vocabulary=tokenizer.vocabulary)
    shutil.rmtree(tmp_path / "model")
    settings = json.loads(json.dumps({"word_dim": 6, **encoder.settings_without_files()}))
    again = HuggingFaceLSTMEncoder(**settings, vocabulary=tokenizer.vocabulary)
    again.load_state_dict(encoder.state_dict())
    ids, mask = map(torch.from_numpy, tokenizer(["a red circle", "the ring on the left"]))
    assert again.eval()(ids, mask).equal(encoder.eval()(ids, mask))


def test_words_start_from_vectors() -> None:
    encoder = tower(word_init="lsa", word_scale=0.5)
    assert encoder.wants_word_vectors == 6
    encoder.start_from(torch.ones(50, 6))
    assert isinstance(encoder.words, LSTMEncoder)
    assert encoder.words.word_embedding.weight.eq(0.5).all()


@pytest.mark.slow
def test_trained_resumed_and_exported(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_folder(tmp_path / "model")
    run = [*QUICK_BOTH, f"model.text_encoder.name={folder}", "trainer.max_epochs=2"]
    train(compose(*run, output="straight"))
    interrupt_at(monkeypatch, epoch=1, batch=1)
    with pytest.raises(RuntimeError, match="interrupted"):
        train(compose(*run, INTERRUPT, output="resumed"))
    train(compose(*run, "ckpt_path=last", output="resumed"))
    assert same(weights(tmp_path / "runs/resumed"), weights(tmp_path / "runs/straight"))
    shutil.rmtree(folder)
    checkpoint = tmp_path / "runs/straight/checkpoints/last.ckpt"
    texts = ["a red circle", "two blue rings on a green background"]
    found = torch.from_numpy(Encoder(export_run(str(checkpoint), tmp_path / "bundle"), threads=1).encode_texts(texts))
    torch.testing.assert_close(found, load_model(checkpoint).encode_texts(texts), atol=1e-4, rtol=1e-4)
