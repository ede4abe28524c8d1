"""Tiny random checkpoints in the layouts of transformers and open_clip, as folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import tokenizers
import torch
from open_clip.push_to_hf_hub import save_config_for_hf
from open_clip.tokenizer import bytes_to_unicode
from safetensors.torch import save_file
from tokenizers import normalizers, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from imtext.models.clip.tokenizer import END, START, bpe_tokenizer

SIZE = 32  # pixels
WIDTH: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2,
}  # fmt: skip
VISION: dict[str, Any] = {**WIDTH, "image_size": SIZE, "patch_size": 16}


def write_clip(folder: Path) -> Path:
    """CLIP of transformers, as `save_pretrained` and the processor write it."""
    folder.mkdir(parents=True)
    backend = small_bpe()
    size, end = backend.get_vocab_size(), backend.token_to_id(END)
    torch.manual_seed(0)
    text = {**WIDTH, "hidden_size": 24, "vocab_size": size, "max_position_embeddings": 16, "eos_token_id": end}
    CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=20)).save_pretrained(folder)
    write(
        folder / "preprocessor_config.json",
        {"crop_size": {"height": SIZE, "width": SIZE}, "do_center_crop": True, "do_resize": True, "resample": 3,
         "image_mean": [0.48, 0.45, 0.4], "image_std": [0.26, 0.26, 0.27], "size": {"shortest_edge": SIZE}},
    )  # fmt: skip
    backend.no_padding()
    backend.no_truncation()
    backend.save(str(folder / "tokenizer.json"))
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    write(folder / "tokenizer_config.json", {**special, "tokenizer_class": "CLIPTokenizer", "model_max_length": 16})
    return folder


def write_siglip(folder: Path) -> Path:
    """SigLIP of transformers; its text tower reads padding."""
    folder.mkdir(parents=True)
    words = {
        "<unk>": 0,
        "</s>": 1,
        **{f"{word}": 2 + n for n, word in enumerate(["a", "the", "red", "blue", "circle", "square"])},
    }
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    backend.save(str(folder / "tokenizer.json"))
    write(folder / "tokenizer_config.json", {"pad_token": {"content": "</s>"}, "tokenizer_class": "SiglipTokenizer"})
    torch.manual_seed(0)
    text = {**WIDTH, "vocab_size": len(words), "max_position_embeddings": 12}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=VISION))
    with torch.no_grad():
        model.logit_scale.fill_(4.7)  # above the limit of CLIP
    model.save_pretrained(folder)
    write(
        folder / "preprocessor_config.json",
        {"do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2,
         "size": {"height": SIZE, "width": SIZE}},
    )  # fmt: skip
    return folder


def write_open_clip(folder: Path, **changes: Any) -> Path:
    """A vision transformer of open_clip, without a tokenizer: it uses the one of open_clip."""
    folder.mkdir(parents=True)
    config: dict[str, Any] = {
        "embed_dim": 20,
        "vision_cfg": {"image_size": SIZE, "layers": 2, "width": 32, "head_width": 8, "patch_size": 16},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 2},
    }
    for name, value in changes.items():
        config[name] = {**config[name], **value} if isinstance(value, dict) else value
    torch.manual_seed(0)
    built = {name: value for name, value in config.items() if name != "custom_text"}
    model = (open_clip.CustomTextCLIP if config.get("custom_text") else open_clip.CLIP)(**built)
    open_clip.factory.set_model_preprocess_cfg(
        model, {"mean": (0.48, 0.45, 0.4), "std": (0.26, 0.26, 0.27), "interpolation": "bicubic",
                "resize_mode": "shortest", "size": SIZE}
    )  # fmt: skip
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    save_config_for_hf(model, config_path=folder / "open_clip_config.json", model_config=config)
    return folder


def small_bpe() -> tokenizers.Tokenizer:
    """A tokenizer of CLIP's kind that knows single letters and `the`."""
    letters = list(bytes_to_unicode().values())
    merges = [("t", "h"), ("th", "e</w>")]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges), START, END]
    return bpe_tokenizer({word: number for number, word in enumerate(words)}, merges, 16)


def write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content))


WRITERS: dict[str, Callable[[Path], Path]] = {
    "clip": write_clip,
    "siglip": write_siglip,
    "open_clip": write_open_clip,
}
