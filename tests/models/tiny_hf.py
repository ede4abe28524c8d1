"""A tiny BERT in a folder of the Hugging Face layout, with random weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tokenizers
import torch
from tokenizers import models, normalizers, pre_tokenizers, processors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = ["a", "red", "blue", "green", "circle", "square", "ring", "on", "the", "of", "left", "background"]
SIZES = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 64,
}  # fmt: skip


def tiny_tokenizer(words: Iterable[str] = WORDS) -> Any:
    """Whole words, between [CLS] and [SEP]; every text padded to 128 tokens, as some folders have it."""
    ids = {token: number for number, token in enumerate([*SPECIAL, *words])}
    backend = tokenizers.Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    backend.enable_truncation(128)
    backend.enable_padding(length=128, pad_id=0, pad_token="[PAD]")
    return backend


def tiny_folder(folder: Path, **changes: Any) -> Path:
    """Write config.json, model.safetensors and tokenizer.json."""
    import transformers

    config = transformers.AutoConfig.for_model(**{"model_type": "bert", "vocab_size": 30, **SIZES, **changes})
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return folder
