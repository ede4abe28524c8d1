"""Folders of open_clip: kinds of networks, weights, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import load_file

from imtext.errors import ConfigError
from imtext.models.clip import CLIP
from imtext.models.clip.open_clip_layout import build, find_weights, read_architecture, reads_padding
from tests.models.clip.folders import SIZE, write, write_open_clip

# What sets models of open_clip apart from each other.
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "quick_gelu": {"quick_gelu": True},
    "custom_text": {"custom_text": True},
    "average": {"vision_cfg": {"pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True}},
    "resnet": {"vision_cfg": {"layers": [1, 1, 1, 1], "width": 8, "head_width": 8, "patch_size": None}},
    "siglip": {
        "custom_text": True,
        "init_logit_bias": -10.0,
        "text_cfg": {"no_causal_mask": True, "proj_bias": True, "pool_type": "last"},
    },
    "attentional_pool": {"vision_cfg": {"attentional_pool": True, "attn_pooler_queries": 4, "attn_pooler_heads": 2}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_embeds_like_open_clip(kind: str, tmp_path: Path) -> None:
    folder = write_open_clip(tmp_path / "model", **KINDS[kind])
    model = CLIP(str(folder)).eval()
    reference = open_clip.create_model(f"local-dir:{folder}").eval()
    pictures, texts = torch.randn(2, 3, SIZE, SIZE), ["a red circle", "two dogs on a beach"]
    tokenizer = CLIP.read_tokenizer({"name": str(folder)}, 77)
    assert tokenizer is not None
    ids, mask = map(torch.from_numpy, tokenizer(texts))
    theirs = open_clip.get_tokenizer(f"local-dir:{folder}")(texts)
    assert tokenizer.vocabulary.fixed_length == (kind == "siglip") == reads_padding(model.architecture["config"])
    with torch.no_grad():
        expected = reference.encode_image(pictures, normalize=True), reference.encode_text(theirs, normalize=True)
        found = model.encode_image(pictures), model.encode_text(ids, mask)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_an_architecture_is_plain(folders: dict[str, Path]) -> None:
    found = read_architecture(folders["open_clip"])
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"multimodal_cfg": {"width": 8}}, "is a CoCa model"),
        ({"text_cfg": {"hf_model_name": "roberta-base"}}, "takes its text tower from roberta-base"),
        ({"vision_cfg": {"image_size": [32, 64]}}, "32 × 64 pixels, but only squares"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    config: dict[str, Any] = {"embed_dim": 8, "vision_cfg": {"image_size": 32}, "text_cfg": {}}
    write(tmp_path / "open_clip_config.json", {"model_cfg": config | changes})
    with pytest.raises(ConfigError, match=message):
        read_architecture(tmp_path)


def test_another_way_to_resize_is_refused(tmp_path: Path) -> None:
    content = {
        "model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {}},
        "preprocess_cfg": {"resize_mode": "longest"},
    }
    write(tmp_path / "open_clip_config.json", content)
    with pytest.raises(ConfigError, match="resizes pictures by 'longest'; known are shortest, squash"):
        read_architecture(tmp_path)
    write(tmp_path / "open_clip_config.json", {})
    with pytest.raises(ConfigError, match="no model_cfg"):
        read_architecture(tmp_path)


def test_weights_are_read_without_running_code(tmp_path: Path) -> None:
    folder = write_open_clip(tmp_path / "model")
    architecture = read_architecture(folder)
    state = build(architecture, find_weights(folder)).image_encoder.state_dict()
    original = load_file(str(folder / "open_clip_model.safetensors"))
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(ConfigError, match="no weights in"):
        find_weights(folder)
    torch.save(original, folder / "open_clip_pytorch_model.bin")
    again = build(architecture, find_weights(folder)).image_encoder.state_dict()
    assert all(value.equal(state[name]) for name, value in again.items())
    torch.save({"state_dict": Path("anything")}, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(ConfigError, match="do not fit their network"):
        build(architecture, find_weights(folder))
