"""The layout of transformers.js."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPImageProcessor

from imtext.errors import BundleError
from imtext.search.pretrained import make_bundle, open_source
from imtext.search.pretrained.layout import CONFIG, PREPROCESS, TOKENIZER_CONFIG, Facts
from imtext.search.pretrained.transformers_js import SETTINGS, TRANSFORMERS_JS
from tests.exported import MEAN, STD, Exported

PICTURES = {"size": 224, "crop_size": 224, "do_center_crop": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def facts(pictures: dict[str, Any] | None = None, tokens: dict[str, Any] | None = None, **config: Any) -> Facts:
    given = {"pad_token": "!", "model_max_length": 77, **(tokens or {})}
    return TRANSFORMERS_JS.facts(
        {PREPROCESS: {**PICTURES, **(pictures or {})}, TOKENIZER_CONFIG: given, CONFIG: config}
    )


@pytest.mark.parametrize("name", ["onnx/vision_model.onnx", "onnx/text_model.onnx", *SETTINGS.values()])
def test_a_missing_file_is_named(transformers_js: Exported, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(transformers_js.folder, tmp_path / "part")
    (folder / name).unlink()
    for path in (folder / "onnx").glob("*_*_*.onnx"):  # no other precision
        path.unlink()
    with pytest.raises(BundleError, match=f"part cannot be used: it has the layout of transformers.js, but no {name} "):
        make_bundle(open_source(str(folder)), tmp_path / "bundle")


def test_precisions() -> None:
    both = {f"onnx/{tower}_model{end}.onnx" for tower in ("vision", "text") for end in ("_fp16", "_quantized")}
    names = both | set(SETTINGS.values())
    assert TRANSFORMERS_JS.files(names, None)[1] == "fp16", "the best there is"
    files, precision = TRANSFORMERS_JS.files(names, "quantized")
    assert (precision, "onnx/text_model_quantized.onnx" in files.values()) == ("quantized", True)
    with pytest.raises(BundleError, match="with the precisions fp16, quantized, not fp32"):
        TRANSFORMERS_JS.files(names, "fp32")


def test_texts() -> None:
    assert (facts(model_type="clip").max_length, facts(model_type="clip").causal) == (77, True)
    endless = {"model_max_length": 10**30}
    siglip = facts(tokens=endless, model_type="siglip")
    assert (siglip.max_length, siglip.causal) == (64, False)
    assert siglip.clean is not None
    assert siglip.clean.normalize_str("A dog.") == "a dog"
    siglip2 = facts(tokens={**endless, "tokenizer_class": "GemmaTokenizer"}, model_type="siglip")
    assert siglip2.clean is not None
    assert siglip2.clean.normalize_str("A dog.") == "a dog."
    assert facts(tokens=endless, model_type="clip", text_config={"max_position_embeddings": 32}).max_length == 32
    with pytest.raises(ValueError, match="says how long a text may be"):
        facts(tokens=endless)


def test_pictures() -> None:
    assert facts().preprocess.resize == "crop"
    plain = facts({"do_center_crop": False, "do_normalize": False, "resample": 2}).preprocess
    assert (plain.resize, plain.interpolation, plain.image_mean, plain.image_std) == (
        "squash",
        "bilinear",
        (0,) * 3,
        (1,) * 3,
    )
    with pytest.raises(ValueError, match="imtext crops nothing"):
        facts({"size": 256})
    for wrong in ({"rescale_factor": 1}, {"do_rescale": False}):
        with pytest.raises(ValueError, match="not scaled to 0 … 1"):
            facts(wrong)


def test_pixels_are_those_of_the_library(transformers_js: Exported, tmp_path: Path) -> None:
    """A picture of one side is resampled and normalised in the same way; others differ by a fraction of a pixel."""
    preprocess = make_bundle(open_source(str(transformers_js.folder)), tmp_path / "bundle").preprocess
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8))
    processor = CLIPImageProcessor.from_pretrained(transformers_js.folder)
    expected = processor(image, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
    found = (preprocess.pixels(image) / 255 - np.array(MEAN)) / np.array(STD)
    assert np.abs(found - expected).max() < 0.03, "less than two of 255 levels"
