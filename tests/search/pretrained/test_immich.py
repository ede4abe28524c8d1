"""The layout of immich-app."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from imtext.errors import BundleError
from imtext.search.pretrained import make_bundle, open_source
from imtext.search.pretrained.immich import FILES, IMMICH
from imtext.search.pretrained.layout import CONFIG, PREPROCESS, TOKENIZER_CONFIG
from tests.exported import Exported

PICTURES = {"size": 224, "mean": [0.5] * 3, "std": [0.5] * 3}
TOKENS = {"pad_token": "<pad>"}


@pytest.mark.parametrize("name", FILES.values())
def test_a_missing_file_is_named(immich: Exported, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(immich.folder, tmp_path / "part")
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"part cannot be used: it has the layout of immich-app, but no {name} "):
        make_bundle(open_source(str(folder)), tmp_path / "bundle")


def test_only_one_precision(immich: Exported, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="immich-app, which has fp32 only, not fp16"):
        make_bundle(open_source(str(immich.folder)), tmp_path / "bundle", "fp16")


def test_settings() -> None:
    facts = IMMICH.facts({PREPROCESS: PICTURES, TOKENIZER_CONFIG: TOKENS, CONFIG: {}})
    assert (facts.preprocess.resize, facts.preprocess.interpolation) == ("crop", "bicubic")
    assert (facts.max_length, facts.clean, facts.pad_token) == (77, None, "<pad>")
    text = {"context_length": 64, "tokenizer_kwargs": {"clean": "canonicalize"}}
    pictures = {**PICTURES, "resize_mode": "squash", "interpolation": "bilinear"}
    facts = IMMICH.facts({PREPROCESS: pictures, TOKENIZER_CONFIG: TOKENS, CONFIG: {"text_cfg": text}})
    assert (facts.preprocess.resize, facts.preprocess.interpolation) == ("squash", "bilinear")
    assert facts.max_length == 64
    assert facts.clean is not None
    assert facts.clean.normalize_str("A dog.") == "a dog"
