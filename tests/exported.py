"""Tiny CLIP models with random weights in the layouts of the hub, and what torch makes of the same input."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from imtext.training.graphs import _quiet_exporter

SIZE, LENGTH, DIM = 32, 16, 24
MEAN, STD = [0.48, 0.46, 0.41], [0.27, 0.26, 0.28]
WORDS = [
    "a red circle on the left",
    "two big blue stars",
    "a photo of a dog on the beach",
    "green squares, yellow rings",
]

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Exported:
    """An exported model, and its embeddings by torch.

    Attributes:
        folder: in the layout of the hub.
        images: normalised pictures ``[B, 3, 32, 32]`` → ``[B, 24]`` of unit length.
        texts: texts → ``[N, 24]`` of unit length.
    """

    folder: Path
    images: Callable[[Tensor], Vectors]
    texts: Callable[[Sequence[str]], Vectors]


class Call(nn.Module):
    """A function of a model as a module that can be traced."""

    def __init__(self, model: nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def make_immich(folder: Path) -> Exported:
    """One row at a time, 32-bit ids of a fixed length, embeddings of unit length; pictures are cropped."""
    model, tokenizer = _clip(), _tokenizer("<|startoftext|>", "<|endoftext|>", "<|endoftext|>")
    pixels, ids = torch.zeros(1, 3, SIZE, SIZE), torch.ones(1, LENGTH, dtype=torch.int32)
    image, text = _towers(model)
    _export(model, lambda x: F.normalize(image(x)), (pixels,), folder / "visual/model.onnx", ["image"], ["embedding"])
    _export(model, lambda x: F.normalize(text(x)), (ids,), folder / "textual/model.onnx", ["text"], ["embedding"])
    tokenizer.save(str(folder / "textual/tokenizer.json"))
    _write(folder / "textual/tokenizer_config.json", {"pad_token": "<|endoftext|>", "model_max_length": 99})
    _write(folder / "visual/preprocess_cfg.json", {
        "size": [SIZE, SIZE], "mode": "RGB", "mean": MEAN, "std": STD, "interpolation": "bicubic",
        "resize_mode": "shortest", "fill_color": 0,
    })  # fmt: skip
    _write(folder / "config.json", {"embed_dim": DIM, "text_cfg": {"context_length": LENGTH}})
    return Exported(folder, _reference(image), _text_reference(text, tokenizer, "<|endoftext|>"))


def make_transformers_js(folder: Path) -> Exported:
    """Any number of rows and tokens, several outputs, embeddings of any length; three precisions."""
    model, tokenizer = _clip(), _tokenizer("<|startoftext|>", "<|endoftext|>", "<|endoftext|>")
    image, text = _towers(model)
    pixels, ids = torch.zeros(2, 3, SIZE, SIZE), torch.ones(2, 5, dtype=torch.int64)
    outputs = ["last_hidden_state", "image_embeds"], ["last_hidden_state", "text_embeds"]

    def vision_half(x: Tensor) -> Tensor:
        return image(x.half()).float()

    def text_half(x: Tensor) -> Tensor:
        return text(x).float()

    vision = folder / "onnx/vision_model.onnx", (pixels,), ["pixel_values"], {"pixel_values": {0: "rows"}}
    textual = folder / "onnx/text_model.onnx", (ids,), ["input_ids"], {"input_ids": {0: "rows", 1: "tokens"}}
    for (path, args, names, dynamic), tower, out in ((vision, image, outputs[0]), (textual, text, outputs[1])):
        _export(model, lambda x, tower=tower: (tower(x)[:, None], 3 * tower(x)), args, path, names, out, dynamic)
        quantize_dynamic(path, path.with_stem(f"{path.stem}_quantized"), weight_type=QuantType.QUInt8)
    references = _reference(image), _text_reference(text, tokenizer, "<|endoftext|>")
    halved = _clip().half()
    image, text = _towers(halved)
    for (path, args, names, dynamic), tower, out in (
        (vision, vision_half, outputs[0]),
        (textual, text_half, outputs[1]),
    ):
        _export(halved, tower, args, path.with_stem(f"{path.stem}_fp16"), names, out[1:], dynamic)
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", {"pad_token": {"content": "<|endoftext|>"}, "model_max_length": LENGTH})
    _write(folder / "preprocessor_config.json", {
        "size": {"shortest_edge": SIZE}, "crop_size": {"height": SIZE, "width": SIZE}, "do_center_crop": True,
        "image_mean": MEAN, "image_std": STD, "resample": 3, "rescale_factor": 1 / 255,
    })  # fmt: skip
    _write(folder / "config.json", {"model_type": "clip"})
    return Exported(folder, *references)


def make_siglip(folder: Path) -> Exported:
    """As transformers.js has SigLIP: the text tower reads the padding, and the embedding is `pooler_output`."""
    torch.manual_seed(0)
    small = {"hidden_size": DIM, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    tokenizer = _tokenizer(None, "</s>", "<pad>")
    config = SiglipConfig(
        text_config={**small, "vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": LENGTH,
                     "projection_size": DIM, "pad_token_id": tokenizer.token_to_id("<pad>"), "bos_token_id": None},
        vision_config={**small, "image_size": SIZE, "patch_size": 8},
    )  # fmt: skip
    model = SiglipModel(config).eval()

    def image(x: Tensor) -> Tensor:
        embeddings: Tensor = model.vision_model(pixel_values=x).pooler_output
        return embeddings

    def text(x: Tensor) -> Tensor:
        embeddings: Tensor = model.text_model(input_ids=x).pooler_output
        return embeddings

    pixels, ids = torch.zeros(2, 3, SIZE, SIZE), torch.ones(2, LENGTH, dtype=torch.int64)
    both = ["last_hidden_state", "pooler_output"]
    for path, tower, x, name in ((folder / "onnx/vision_model_fp16.onnx", image, pixels, "pixel_values"),
                                 (folder / "onnx/text_model_fp16.onnx", text, ids, "input_ids")):  # fmt: skip
        _export(
            model, lambda x, tower=tower: (tower(x)[:, None], tower(x)), (x,), path, [name], both, {name: {0: "rows"}}
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", {"pad_token": "<pad>", "model_max_length": LENGTH})
    _write(folder / "preprocessor_config.json", {
        "size": {"height": SIZE, "width": SIZE}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2,
    })  # fmt: skip
    _write(folder / "config.json", {"model_type": "siglip", "text_config": {"max_position_embeddings": LENGTH}})
    return Exported(folder, _reference(image), _text_reference(text, tokenizer, "<pad>"))


def _clip() -> CLIPModel:
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    tokenizer = _tokenizer("<|startoftext|>", "<|endoftext|>", "<|endoftext|>")
    text = {**small, "vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": LENGTH,
            "eos_token_id": tokenizer.token_to_id("<|endoftext|>"), "initializer_factor": 8.0}  # fmt: skip
    vision = {**small, "image_size": SIZE, "patch_size": 8, "initializer_factor": 8.0}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=DIM, attn_implementation="eager")
    return CLIPModel(config).eval()


def _towers(model: CLIPModel) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    def image(pixels: Tensor) -> Tensor:
        embeddings: Tensor = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
        return embeddings

    def text(ids: Tensor) -> Tensor:
        embeddings: Tensor = model.text_projection(model.text_model(input_ids=ids).pooler_output)
        return embeddings

    return image, text


def _tokenizer(start: str | None, end: str, pad: str) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    special = list(dict.fromkeys([token for token in (start, end, pad) if token]))
    trainer = trainers.BpeTrainer(
        vocab_size=320, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    backend.train_from_iterator(WORDS, trainer)
    backend.add_special_tokens(special)  # the highest ids, as in CLIP
    single = f"{start} $A {end}" if start else f"$A {end}"
    backend.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(token, backend.token_to_id(token)) for token in special]
    )
    return backend


def _export(
    model: nn.Module, function: Callable[..., Any], args: tuple[Tensor, ...], path: Path,
    inputs: list[str], outputs: list[str], dynamic: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with _quiet_exporter(), torch.no_grad():
        torch.onnx.export(
            Call(model, function).eval(), args, path, dynamo=False, dynamic_axes=dynamic, input_names=inputs,
            output_names=outputs, opset_version=18,
        )  # fmt: skip


def _write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values))


def _reference(image: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Vectors]:
    def embed(pixels: Tensor) -> Vectors:
        with torch.no_grad():
            return np.asarray(F.normalize(image(pixels)).numpy())

    return embed


def _text_reference(
    text: Callable[[Tensor], Tensor], tokenizer: tokenizers.Tokenizer, pad: str
) -> Callable[[Sequence[str]], Vectors]:
    """Every text padded to the full length, as the models were trained."""
    full = tokenizers.Tokenizer.from_str(tokenizer.to_str())
    full.enable_truncation(LENGTH)
    full.enable_padding(length=LENGTH, pad_token=pad, pad_id=full.token_to_id(pad))

    def embed(texts: Sequence[str]) -> Vectors:
        ids = torch.tensor([encoding.ids for encoding in full.encode_batch(list(texts))])
        with torch.no_grad():
            return np.asarray(F.normalize(text(ids)).numpy())

    return embed
