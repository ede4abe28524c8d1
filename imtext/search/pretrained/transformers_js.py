"""The layout of transformers.js (`Xenova/…`, `onnx-community/…`): `onnx/` with one graph per tower and precision."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from PIL import Image

from imtext.errors import BundleError
from imtext.preprocess import Preprocess
from imtext.preprocess.cleaning import siglip
from imtext.search.pretrained import layout
from imtext.search.pretrained.layout import PRECISIONS, Facts, Layout, Precision, pad_token, require, side

TITLE = "transformers.js"
SUFFIXES: Mapping[Precision, str] = {"fp32": "", "fp16": "_fp16", "quantized": "_quantized"}
SETTINGS = {
    layout.PREPROCESS: "preprocessor_config.json",
    layout.TOKENIZER: "tokenizer.json",
    layout.TOKENIZER_CONFIG: "tokenizer_config.json",
    layout.CONFIG: "config.json",
}
CONTEXT = {"clip": 77, "siglip": 64}  # tokens, by the type of the model
LONGEST = 512  # tokens; tokenizers without a limit write an astronomic number instead
CAUSAL = ("clip",)  # models whose text tower does not read what follows the end of a text


def _graphs(precision: Precision) -> dict[str, str]:
    suffix = SUFFIXES[precision]
    return {layout.IMAGE: f"onnx/vision_model{suffix}.onnx", layout.TEXT: f"onnx/text_model{suffix}.onnx"}


def _files(names: Collection[str], precision: Precision | None) -> tuple[dict[str, str], Precision]:
    there = [one for one in PRECISIONS if set(_graphs(one).values()) <= set(names)]
    if precision is not None and there and precision not in there:
        raise BundleError(f"it has the layout of {TITLE} with the precisions {', '.join(there)}, not {precision}")
    chosen = precision or (there[0] if there else "fp32")
    files = _graphs(chosen) | SETTINGS
    require(names, files, TITLE)
    return files, chosen


def _facts(settings: Mapping[str, Mapping[str, Any]]) -> Facts:
    tokenizer, config = settings[layout.TOKENIZER_CONFIG], settings[layout.CONFIG]
    kind = str(config.get("model_type", ""))
    known = config.get("text_config", {}).get("max_position_embeddings") or CONTEXT.get(kind)
    own = tokenizer.get("model_max_length")
    lengths = [int(length) for length in (known, own) if length is not None and length <= LONGEST]
    if not lengths:
        raise ValueError("neither config.json nor tokenizer_config.json says how long a text may be")
    clean = siglip(str(tokenizer.get("tokenizer_class", ""))) if kind.startswith("siglip") else None
    preprocess = _preprocess(settings[layout.PREPROCESS])
    return Facts(preprocess, pad_token(tokenizer), min(lengths), kind in CAUSAL, clean)


def _preprocess(pictures: Mapping[str, Any]) -> Preprocess:
    """The preprocessing of a `preprocessor_config.json`."""
    if abs(pictures.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-6 or not pictures.get("do_rescale", True):
        raise ValueError("pixels are not scaled to 0 … 1")
    size = side(pictures["size"])
    crops = bool(pictures.get("do_center_crop", "crop_size" in pictures))
    if crops and side(pictures.get("crop_size", size)) != size:
        raise ValueError(f"pictures are resized to {size} and cropped to {pictures['crop_size']}; imtext crops nothing")
    keeps = crops or "shortest_edge" in (pictures["size"] if isinstance(pictures["size"], dict) else ())
    normalizes = pictures.get("do_normalize", True)
    return Preprocess(
        image_size=size,
        image_mean=pictures["image_mean"] if normalizes else (0, 0, 0),
        image_std=pictures["image_std"] if normalizes else (1, 1, 1),
        resize="crop" if keeps else "squash",
        interpolation=Image.Resampling(pictures.get("resample", Image.Resampling.BICUBIC)).name.lower(),  # type: ignore[arg-type]
    )


TRANSFORMERS_JS = Layout(TITLE, ("onnx/vision_model", "onnx/text_model"), _files, _facts)
