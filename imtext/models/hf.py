"""Text encoders of the Hugging Face hub as text towers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from imtext.errors import ConfigError, needs
from imtext.models.hf_files import Pooling, find_folder, max_positions, read_config, read_pooling, read_tokenizer
from imtext.models.low_rank import adapt
from imtext.models.pooling import pool
from imtext.models.text_encoder import TextEncoder
from imtext.models.word_encoder import check_choice
from imtext.preprocess.tokenizer import Tokenizer, Vocabulary

POOLINGS: Any = {"mean": "mean", "max": "max", "cls": "first", "eos": "last"}
ABOVE = ("norm", "pool")  # modules beside the layers that come after them; all others come before


class HuggingFaceEncoder(TextEncoder):
    """A pretrained text encoder of the transformers library: BERT, RoBERTa, MPNet, ModernBERT, the encoder of T5.

    It brings its own tokenizer. Weights are read from safetensors files only, and no code that comes with a model is
    run. With `lora_rank` the weights stay as they are, and only the low-rank matrices added to them learn.

    Args:
        name: folder of a model, or its name on the Hugging Face hub, such as
            ``sentence-transformers/all-MiniLM-L6-v2``.
        weights: ``default`` for those of the model; None starts from random weights.
        architecture: content of a `config.json`; None reads that of the model.
        pooling: ``mean`` or ``max`` over all states, the state of the first token (``cls``) or of the last one
            (``eos``). The model was trained with one of them; None reads which from the folder of a
            sentence-transformers model, and is ``mean`` for others.
        lora_rank: rank of the low-rank matrices (Hu et al., "LoRA", ICLR 2022); 0 for none, so that all weights learn.
        lora_alpha: scale of the product of the low-rank matrices, divided by `lora_rank`.
        lora_targets: layers that get such matrices: ``all-linear``, a regular expression or a list of names.
        vocabulary: vocabulary of the tokenizer; supplied by the program.

    Raises:
        ConfigError: the model cannot be found or read, is no text encoder, or does not fit the tokenizer.
        MissingExtraError: transformers or peft is not installed.
    """

    def __init__(
        self,
        name: str | None = None,
        weights: Literal["default"] | None = "default",
        architecture: dict[str, Any] | None = None,
        pooling: Pooling | None = None,
        lora_rank: int = 0,
        lora_alpha: float = 16,
        lora_targets: str | Sequence[str] = "all-linear",
        *,
        vocabulary: Vocabulary,
    ) -> None:
        super().__init__()
        if pooling is not None:
            check_choice("pooling", pooling, Pooling)
        if lora_rank < 0:
            raise ConfigError(f"model.text_encoder.lora_rank must be 0 or more, not {lora_rank}")
        folder = find_folder(name) if name is not None else None
        config = _config(folder, architecture, vocabulary)
        _check_fit(config, vocabulary)
        self.network = _build(config, folder if weights is not None else None)
        self.architecture = config.to_json_string(use_diff=False)
        self.num_features = int(config.hidden_size)
        self.pooling: Pooling = pooling or (read_pooling(folder) if folder is not None else "mean")
        self.num_pretrained = len(self.blocks) if folder is not None and weights is not None else 0
        self.freeze(0)
        if lora_rank:
            adapt(self, self.network, lora_rank, lora_alpha, lora_targets, "model.text_encoder.lora_targets")

    @classmethod
    def read_tokenizer(cls, settings: Mapping[str, Any], max_length: int) -> Tokenizer | None:
        """The tokenizer of the model `name`; None without a name, for the tokenizer of the data.

        Args:
            settings: of this tower.
            max_length: maximum number of tokens of a text; the model may allow less.

        Raises:
            ConfigError: there is neither a name nor an architecture, or the tokenizer cannot be read.
        """
        if settings.get("name") is not None:
            return read_tokenizer(find_folder(str(settings["name"])), max_length)
        if settings.get("architecture") is None:
            raise ConfigError("model.text_encoder.name is needed: a folder, or the name of a model on the hub")
        return None

    def settings_without_files(self) -> dict[str, Any]:
        """No name, but the content of its `config.json`."""
        shape = json.loads(self.architecture)
        return {"name": None, "weights": None, "architecture": shape, "pooling": self.pooling}

    @property
    def blocks(self) -> list[nn.Module]:
        """The embeddings, each layer, and the norm after them if there is one. Without layers, one block."""
        layers = _layers(self.network)
        if layers is None:
            return [self.network]
        beside = list(_beside(self.network, layers))
        above = [module for name, module in beside if any(word in name.lower() for word in ABOVE)]
        below = [module for _, module in beside if module not in above]
        return [nn.ModuleList(below), *layers, *([nn.ModuleList(above)] if above else [])]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """``[N, L]`` int64 and ``[N, L]`` bool (True on real tokens, which come first) → ``[N, num_features]``."""
        states = self.network(input_ids=input_ids, attention_mask=attention_mask.long()).last_hidden_state
        return pool(states, attention_mask, POOLINGS[self.pooling])


def _config(folder: Path | None, architecture: Mapping[str, Any] | None, vocabulary: Vocabulary) -> Any:
    """The configuration of the network; sizes that an architecture leaves out are those of the vocabulary."""
    with needs("hf"):
        from transformers import AutoConfig
    if architecture is None:
        if folder is None:
            raise ConfigError("model.text_encoder.name is needed: a folder, or the name of a model on the hub")
        return read_config(folder)
    from_data = {"vocab_size": vocabulary.size, "pad_token_id": vocabulary.pad_id}
    try:
        return AutoConfig.for_model(**{**from_data, **architecture})
    except (ValueError, TypeError) as error:
        raise ConfigError(f"model.text_encoder.architecture: {str(error).splitlines()[0][:200]}") from error


def _check_fit(config: Any, vocabulary: Vocabulary) -> None:
    sizes = [getattr(config, name, None) for name in ("hidden_size", "vocab_size")]
    if not all(isinstance(size, int) for size in sizes):
        raise ConfigError(f"A network of type {config.model_type!r} is no text encoder: it has no word embeddings")
    if vocabulary.size > config.vocab_size:
        raise ConfigError(
            f"The network has {config.vocab_size:,} tokens, but the tokenizer has {vocabulary.size:,}: they do not "
            "belong together"
        )
    if (limit := max_positions(config)) is not None and vocabulary.max_length > limit:
        raise ConfigError(f"The network reads {limit} tokens: set data.max_text_length to {limit} or less")


def _build(config: Any, folder: Path | None) -> nn.Module:
    """The network with the weights in a folder, or with random ones."""
    import transformers

    kind = transformers.AutoModelForTextEncoding if config.is_encoder_decoder else transformers.AutoModel
    config.use_cache = False  # no text is continued
    options = {"config": config, "dtype": torch.float32, "trust_remote_code": False}
    if config.is_encoder_decoder:
        options["attn_implementation"] = "eager"  # the fused attention of T5 cannot be exported
    try:
        if folder is None:
            network = kind.from_config(options.pop("config"), **options)
        else:
            network, report = kind.from_pretrained(folder, use_safetensors=True, output_loading_info=True, **options)
            if lacking := [key for key in sorted(report["missing_keys"]) if "pooler" not in key]:
                raise ConfigError(f"The weights in {folder} lack {', '.join(lacking[:3])}")
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"No text encoder can be built from {folder or config.model_type}: {str(error).splitlines()[0]} Weights "
            "are read from model.safetensors."
        ) from error
    if not isinstance(network.get_input_embeddings(), nn.Embedding):
        raise ConfigError(f"A network of type {config.model_type!r} is no text encoder: it has no word embeddings")
    if getattr(network, "pooler", None) is not None:
        network.pooler = None  # the states are pooled here; these weights would never learn
    module: nn.Module = network
    return module


def _layers(network: nn.Module) -> nn.ModuleList | None:
    """The list of layers: the outermost list with the most entries."""
    found: list[nn.ModuleList] = []
    inside: set[nn.Module] = set()
    for module in network.modules():
        if isinstance(module, nn.ModuleList) and module not in inside:
            found.append(module)
            inside |= set(module.modules())
    return max(found, key=len, default=None)


def _beside(module: nn.Module, layers: nn.ModuleList) -> list[tuple[str, nn.Module]]:
    """The largest modules, with their names, that do not contain the layers."""
    found: list[tuple[str, nn.Module]] = []
    for name, child in module.named_children():
        if child is layers:
            continue
        found += _beside(child, layers) if layers in child.modules() else [(name, child)]
    return found
