"""The files of a pretrained text encoder: a folder, or a name on the Hugging Face hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from imtext.errors import ConfigError, needs
from imtext.models.hub import download
from imtext.preprocess.tokenizer import JsonTokenizer, load_tokenizer

# No pickled weights and no code.
FILES = ["*.json", "model*.safetensors", "*.txt", "*.model"]
Pooling = Literal["mean", "cls", "eos", "max"]
# How sentence-transformers names its poolings.
POOLINGS: Mapping[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_lasttoken": "eos",
    "pooling_mode_max_tokens": "max",
}  # fmt: skip
VOCABULARIES = ("vocab.txt", "vocab.json", "*.model")  # of tokenizers that have no tokenizer.json
# The families whose first positions are those of the padding, as in RoBERTa.
OFFSET_POSITIONS = {
    "camembert", "data2vec-text", "ibert", "longformer", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta",
    "xlm-roberta-xl", "xmod",
}  # fmt: skip


def find_folder(name: str) -> Path:
    """The folder of a model; one on the hub is downloaded once.

    Raises:
        ConfigError: there is no such folder, and the hub cannot be reached or has no such model.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    return download(name, FILES, "model.text_encoder.name", "config.json, model.safetensors and tokenizer.json")


def read_config(folder: Path) -> Any:
    """The `config.json` of a model, as a configuration of the transformers library.

    Raises:
        ConfigError: it is missing, or names a kind of network that the library does not know.
        MissingExtraError: transformers is not installed.
    """
    with needs("hf"):
        from transformers import AutoConfig
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder} holds no model of the Hugging Face layout: config.json is missing")
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"{folder / 'config.json'} cannot be used: {str(error).splitlines()[0]} Models that bring their own code "
            "are not supported."
        ) from error


def read_pooling(folder: Path) -> Pooling:
    """The pooling that a sentence-transformers model was trained with; ``mean`` if the folder does not say.

    Raises:
        ConfigError: it was trained with another pooling, or with several at once.
    """
    file = folder / "1_Pooling" / "config.json"
    if not file.is_file():
        return "mean"
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        chosen = [name for name, used in settings.items() if name.startswith("pooling_mode_") and used is True]
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if len(chosen) != 1 or chosen[0] not in POOLINGS:
        raise ConfigError(
            f"{file} asks for {', '.join(chosen) or 'no known pooling'}, which the text tower does not have. Choose "
            "one: model.text_encoder.pooling=mean"
        )
    return POOLINGS[chosen[0]]


def max_positions(config: Any) -> int | None:
    """The longest text that a network can read, in tokens; None if its configuration gives no limit."""
    limit = getattr(config, "max_position_embeddings", None)
    if limit is not None and config.model_type in OFFSET_POSITIONS:
        limit -= (config.pad_token_id or 0) + 1
    return limit if limit is not None and limit > 0 else None


def read_tokenizer(folder: Path, max_length: int) -> JsonTokenizer:
    """The tokenizer of a model: its `tokenizer.json`, or its vocabulary converted by the transformers library.

    Args:
        folder: of the model.
        max_length: maximum number of tokens of a text; ignored if the tokenizer or the model sets a lower one.

    Raises:
        ConfigError: there is no tokenizer, or none that can be used.
        MissingExtraError: transformers is not installed.
    """
    limit = min(max_length, max_positions(read_config(folder)) or max_length)
    file = folder / "tokenizer.json"
    try:
        return load_tokenizer(file.read_bytes() if file.is_file() else _convert(folder), max_length=limit)
    except ConfigError as error:
        raise ConfigError(f"The tokenizer of {folder} cannot be used: {error}") from error


def _convert(folder: Path) -> str:
    with needs("hf"):
        from transformers import AutoTokenizer
    if not any(next(folder.glob(name), None) for name in VOCABULARIES):
        raise ConfigError("tokenizer.json is missing")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        return str(tokenizer.backend_tokenizer.to_str())
    except (OSError, ValueError, ImportError, AttributeError) as error:
        raise ConfigError(f"tokenizer.json is missing, and cannot be made ({str(error).splitlines()[0]})") from error
