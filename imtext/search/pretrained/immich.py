"""The layout of immich-app: `visual/` and `textual/`, exported from OpenCLIP with one row at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from imtext.errors import BundleError
from imtext.preprocess import Preprocess, Resize
from imtext.preprocess.cleaning import canonical
from imtext.search.pretrained import layout
from imtext.search.pretrained.layout import Facts, Layout, Precision, pad_token, require, side

TITLE = "immich-app"
FILES = {
    layout.IMAGE: "visual/model.onnx",
    layout.TEXT: "textual/model.onnx",
    layout.PREPROCESS: "visual/preprocess_cfg.json",
    layout.TOKENIZER: "textual/tokenizer.json",
    layout.TOKENIZER_CONFIG: "textual/tokenizer_config.json",
    layout.CONFIG: "config.json",
}
CONTEXT = 77  # tokens, unless the configuration says otherwise: the default of OpenCLIP
RESIZE: Mapping[str, Resize] = {"shortest": "crop", "squash": "squash"}


def _files(names: Collection[str], precision: Precision | None) -> tuple[dict[str, str], Precision]:
    require(names, FILES, TITLE)
    if precision not in (None, "fp32"):
        raise BundleError(f"it has the layout of {TITLE}, which has fp32 only, not {precision}: omit --precision")
    return FILES, "fp32"


def _facts(settings: Mapping[str, Mapping[str, Any]]) -> Facts:
    pictures, text = settings[layout.PREPROCESS], settings[layout.CONFIG].get("text_cfg", {})
    mode = pictures.get("resize_mode", "shortest")
    if mode not in RESIZE:
        raise ValueError(f"resize_mode is {mode!r}, and imtext knows {' and '.join(RESIZE)}")
    preprocess = Preprocess(
        image_size=side(pictures["size"]),
        image_mean=pictures["mean"],
        image_std=pictures["std"],
        resize=RESIZE[mode],
        interpolation=pictures.get("interpolation", "bicubic"),
    )
    return Facts(
        preprocess,
        pad_token(settings[layout.TOKENIZER_CONFIG]),
        int(text.get("context_length", CONTEXT)),
        clean=canonical() if text.get("tokenizer_kwargs", {}).get("clean") == "canonicalize" else None,
    )


IMMICH = Layout(TITLE, ("visual/", "textual/"), _files, _facts)
