"""Folders of pretrained text encoders: what is missing is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoConfig

from imtext.errors import ConfigError
from imtext.models.hf_files import find_folder, max_positions, read_config, read_pooling, read_tokenizer
from tests.models.tiny_hf import SPECIAL, WORDS, tiny_folder


def test_a_folder_is_found(tmp_path: Path) -> None:
    assert find_folder(str(tmp_path)) == tmp_path


def test_without_a_connection_the_message_lists_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"name=owner/model: .*HF_HUB_OFFLINE.*path of a folder"):
        find_folder("owner/model")
    with pytest.raises(ConfigError, match="name=/no/such/folder: "):
        find_folder("/no/such/folder")


def test_a_model_that_was_downloaded_before_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    kept, commit = tmp_path / "models--owner--model", "0" * 40
    folder = tiny_folder(kept / "snapshots" / commit)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(commit)
    assert find_folder("owner/model") == folder


def test_configurations(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json is missing"):
        read_config(tmp_path)
    for content in ("{", "{}", '{"model_type": "unheard_of"}'):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ConfigError, match=r"config\.json cannot be used"):
            read_config(tmp_path)


@pytest.mark.parametrize(
    ("kind", "sizes", "expected"),
    [
        ("bert", {"max_position_embeddings": 512}, 512),
        ("roberta", {"max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ("t5", {}, None),
    ],
)
def test_positions(kind: str, sizes: dict[str, int], expected: int | None) -> None:
    assert max_positions(AutoConfig.for_model(kind, **sizes)) == expected


def test_the_tokenizer_of_a_folder(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path)
    tokenizer = read_tokenizer(folder, 100)
    assert tokenizer.vocabulary.max_length == 64  # positions of the network
    assert tokenizer(["a red circle", "a"]).input_ids.tolist() == [[2, 4, 5, 8, 3], [2, 4, 3, 0, 0]]
    assert read_tokenizer(folder, 5).vocabulary.max_length == 5


def test_a_vocabulary_is_converted(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path)
    expected = read_tokenizer(folder, 64)(["a Red circle", "unheard"])
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"The tokenizer of .* cannot be used: tokenizer\.json is missing"):
        read_tokenizer(folder, 64)
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS, "[MASK]"]))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    found = read_tokenizer(folder, 64)(["a Red circle", "unheard"])
    assert (found.input_ids == expected.input_ids).all()
    assert (found.attention_mask == expected.attention_mask).all()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "word_embedding_dimension": 8}, "cls"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_lasttoken": True}, "eos"),
    ],
)
def test_the_pooling_of_sentence_transformers(settings: dict[str, object], expected: str, tmp_path: Path) -> None:
    assert read_pooling(tmp_path) == "mean"
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    assert read_pooling(tmp_path) == expected


def test_a_pooling_that_the_tower_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "1_Pooling").mkdir()
    settings = {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match=r"model\.text_encoder\.pooling=mean"):
        read_pooling(tmp_path)
