"""The LSTM tower: padding, pooling, freezing and the vocabulary."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from imtext.errors import ConfigError
from imtext.models import LSTMEncoder
from imtext.models.recurrent import Pooling
from imtext.preprocess.tokenizer import Vocabulary
from tests.models.captions import LENGTHS, VOCABULARY, captions


def encoder(pooling: Pooling, bidirectional: bool) -> LSTMEncoder:
    torch.manual_seed(0)
    return LSTMEncoder(
        word_dim=8, hidden_dim=6, num_layers=2, bidirectional=bidirectional, pooling=pooling, vocabulary=VOCABULARY
    ).eval()


@pytest.mark.parametrize("pooling", ["max", "mean", "last"])
@pytest.mark.parametrize("bidirectional", [False, True])
class TestPadding:
    def test_a_caption_alone_is_a_caption_among_others(self, pooling: Pooling, bidirectional: bool) -> None:
        model = encoder(pooling, bidirectional)
        ids, mask = captions()
        together = model(ids, mask)
        assert together.shape == (len(LENGTHS), model.num_features)
        for row, length in enumerate(LENGTHS):
            alone = model(ids[row : row + 1, :length], mask[row : row + 1, :length])
            torch.testing.assert_close(together[row : row + 1], alone)

    def test_more_padding_changes_nothing(self, pooling: Pooling, bidirectional: bool) -> None:
        model = encoder(pooling, bidirectional)
        torch.testing.assert_close(model(*captions(padding=20)), model(*captions()))

    def test_packed_sequences_agree(self, pooling: Pooling, bidirectional: bool) -> None:
        """torch's own way, on a bidirectional LSTM with the same weights."""
        model = encoder(pooling, bidirectional)
        if model.backward_lstm is not None:
            pytest.skip("layers of torch's bidirectional LSTM read both directions; ours are two stacks")
        ids, mask = captions()
        lengths = mask.sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            model.word_embedding(ids), lengths, batch_first=True, enforce_sorted=False
        )
        for layer in model.forward_lstm.layers:
            packed, _ = layer(packed)
        states, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        torch.testing.assert_close(model(ids, mask), model._pool(states, mask, lengths))


def test_backward_lstm_reads_the_caption_from_its_end() -> None:
    model = encoder("last", bidirectional=True)
    ids, mask = captions()
    assert model.backward_lstm is not None
    for row, length in enumerate(LENGTHS):
        turned = model.word_embedding(ids[row : row + 1, :length].flip(1))
        states = model.backward_lstm(turned)
        torch.testing.assert_close(model(ids, mask)[row, model.forward_lstm.hidden_dim :], states[0, -1])


def test_unknown_values_name_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"text_encoder\.pooling must be one of max, mean, last"):
        LSTMEncoder(pooling="sum", vocabulary=VOCABULARY)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"text_encoder\.word_init must be one of random, lsa"):
        LSTMEncoder(word_init="glove", vocabulary=VOCABULARY)  # type: ignore[arg-type]


def test_special_ids_come_from_the_vocabulary() -> None:
    vocabulary = Vocabulary("pretrained", size=30, pad_id=29, unk_id=7, max_length=64)
    model = LSTMEncoder(word_dim=8, hidden_dim=6, word_dropout=0.99, dropout=0, vocabulary=vocabulary)
    assert model.word_embedding.weight.shape == (30, 8)
    assert not model.word_embedding.weight[29].any()
    ids = torch.full((2, 5), 4)
    torch.manual_seed(0)
    dropped = model.train()(ids, ids > 0)
    torch.testing.assert_close(dropped, model.eval()(torch.full((2, 5), 7), ids > 0))


def test_word_dropout_needs_an_unknown_token() -> None:
    vocabulary = Vocabulary("pretrained", size=30, pad_id=0, unk_id=None, max_length=64)
    with pytest.raises(ConfigError, match=r"word_dropout=0\.1 .*this tokenizer does not have\. Set it to 0"):
        LSTMEncoder(word_dropout=0.1, vocabulary=vocabulary)
    LSTMEncoder(word_dim=4, hidden_dim=4, vocabulary=vocabulary)


def noisy(bidirectional: bool = True) -> LSTMEncoder:
    torch.manual_seed(0)
    return LSTMEncoder(
        word_dim=8, hidden_dim=6, num_layers=3, bidirectional=bidirectional, dropout=0.5, word_dropout=0.5,
        mean_of_words=True, vocabulary=VOCABULARY,
    )  # fmt: skip


def test_a_frozen_tower_has_no_randomness() -> None:
    model = noisy().train()
    ids, mask = captions()
    assert not torch.equal(model(ids, mask), model(ids, mask))
    model.freeze(len(model.blocks))
    state = torch.get_rng_state()
    torch.testing.assert_close(model(ids, mask), model(ids, mask), rtol=0, atol=0)
    assert torch.get_rng_state().equal(state)
    torch.testing.assert_close(model(ids, mask), model.eval()(ids, mask), rtol=0, atol=0)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_blocks_are_words_and_layers(bidirectional: bool) -> None:
    model = noisy(bidirectional)
    assert len(model.blocks) == 4
    for frozen in range(5):
        model.freeze(frozen)
        learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert ("word_embedding.weight" in learning) == (frozen == 0)
        for layer in range(3):
            for stack in ["forward_lstm", *(["backward_lstm"] if bidirectional else [])]:
                assert (f"{stack}.layers.{layer}.weight_ih_l0" in learning) == (layer + 1 >= frozen)


def test_frozen_words_are_not_dropped_while_the_layers_learn() -> None:
    model = noisy(bidirectional=False)
    model.freeze(1)
    assert not model.word_embedding.training
    assert not model.dropout.training
    ids, mask = captions()
    first, second = model(ids, mask), model(ids, mask)
    assert not torch.equal(first, second)  # dropout between the layers
    assert torch.equal(first[:, 6:], second[:, 6:])  # the mean of words


def test_names_in_the_state_dict_are_those_of_earlier_checkpoints() -> None:
    kinds = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    stacks = [f"{side}_lstm.layers.{n}.{kind}" for side in ("forward", "backward") for n in range(3) for kind in kinds]
    assert list(noisy().state_dict()) == ["word_embedding.weight", *stacks]


def test_starts_from_word_vectors() -> None:
    model = LSTMEncoder(word_dim=8, hidden_dim=6, word_init="lsa", word_scale=0.1, vocabulary=VOCABULARY)
    assert model.wants_word_vectors == 8
    assert LSTMEncoder(word_dim=8, hidden_dim=6, vocabulary=VOCABULARY).wants_word_vectors is None
    vectors = torch.randn(50, 8)
    model.start_from(vectors)
    torch.testing.assert_close(model.word_embedding.weight.data, 0.1 * vectors)
