"""Pretrained dual encoders give the embeddings of the libraries that they come from, number by number."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import CLIPModel, SiglipModel

from imtext.errors import ConfigError
from imtext.models.clip import CLIP
from imtext.training.build import ModelBuilder, settings_without_files
from tests.models.clip.folders import SIZE, WRITERS

TEXTS = ["the Red circle", "a", "the blue square the red circle the blue square the red circle the end"]


def build(folder: Path, **settings: Any) -> CLIP:
    return CLIP(str(folder), **settings).eval()


def tokens(folder: Path, texts: list[str] = TEXTS) -> tuple[Tensor, Tensor]:
    tokenizer = CLIP.read_tokenizer({"name": str(folder)}, 77)
    assert tokenizer is not None
    ids, mask = map(torch.from_numpy, tokenizer(texts))
    return ids, mask


@torch.no_grad()
def theirs(kind: str, folder: Path, pictures: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The embeddings of the library itself."""
    if kind == "open_clip":
        reference = open_clip.create_model(f"local-dir:{folder}").eval()
        padded = torch.nn.functional.pad(ids * mask, (0, 16 - ids.shape[1]))  # it always takes the full length
        return reference.encode_image(pictures, normalize=True), reference.encode_text(padded, normalize=True)
    reference = (CLIPModel if kind == "clip" else SiglipModel).from_pretrained(folder).eval()
    attention = {"attention_mask": mask.long()} if kind == "clip" else {}  # SigLIP reads its padding
    images = reference.get_image_features(pictures).pooler_output
    texts = reference.get_text_features(ids, **attention).pooler_output
    return normalize(images, dim=-1), normalize(texts, dim=-1)


@pytest.mark.parametrize("kind", WRITERS)
def test_embeddings_are_those_of_the_library(kind: str, folders: dict[str, Path]) -> None:
    model, pictures = build(folders[kind]), torch.randn(3, 3, SIZE, SIZE)
    ids, mask = tokens(folders[kind])
    images, texts = theirs(kind, folders[kind], pictures, ids, mask)
    with torch.no_grad():
        torch.testing.assert_close(model.encode_image(pictures), images, atol=1e-5, rtol=0)
        torch.testing.assert_close(model.encode_text(ids, mask), texts, atol=1e-5, rtol=0)
    assert images.shape[1] == texts.shape[1] == model.embed_dim


@pytest.mark.parametrize("kind", WRITERS)
def test_batches_and_padding_change_nothing(kind: str, folders: dict[str, Path]) -> None:
    model = build(folders[kind])
    ids, mask = tokens(folders[kind])
    alone_ids, alone_mask = tokens(folders[kind], TEXTS[1:2])
    with torch.no_grad():
        together, alone = model.encode_text(ids, mask)[1:2], model.encode_text(alone_ids, alone_mask)
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)
    assert (ids.shape[1] == alone_ids.shape[1]) == (kind == "siglip")  # SigLIP has one length for all texts


@pytest.mark.parametrize("kind", WRITERS)
def test_blocks_are_stem_layers_and_head(kind: str, folders: dict[str, Path]) -> None:
    model, pictures = build(folders[kind]), torch.randn(2, 3, SIZE, SIZE)
    assert len(model.image_encoder.blocks) == len(model.text_encoder.blocks) == 4
    with torch.no_grad():
        whole = model.encode_image(pictures)
        for blocks in range(5):
            lower = model.image_encoder.lower(pictures, blocks)
            torch.testing.assert_close(model.encode_image(lower, first_block=blocks), whole)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("lora_rank", [0, 2])
def test_it_is_rebuilt_without_its_folder(
    kind: str, lora_rank: int, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"_target_": "imtext.models.clip.CLIP", "name": str(folders[kind]), "lora_rank": lora_rank}
    builder = ModelBuilder(settings)
    tokenizer = builder.read_tokenizer(77)
    assert tokenizer is not None
    model = builder.finish(tokenizer.vocabulary).eval()
    complete = settings_without_files(model, settings)
    monkeypatch.setattr("imtext.models.clip.model.find", None)
    again = ModelBuilder(complete).finish(tokenizer.vocabulary).eval()
    again.load_state_dict(model.state_dict())
    pictures = torch.randn(2, 3, SIZE, SIZE)
    assert again.encode_image(pictures).equal(model.encode_image(pictures))
    assert again.image_encoder.preprocess == model.image_encoder.preprocess
    assert again.temperature == model.temperature


def test_the_temperature_is_the_checkpoints_own(folders: dict[str, Path]) -> None:
    assert build(folders["clip"]).temperature == pytest.approx(0.07, rel=1e-3)
    siglip = build(folders["siglip"])
    siglip.clamp_logit_scale()
    assert siglip.temperature == pytest.approx(math.exp(-4.7))  # it may stay above the limit of CLIP
    siglip.logit_scale.data.add_(1)
    siglip.clamp_logit_scale()
    assert siglip.temperature == pytest.approx(math.exp(-4.7))
    assert build(folders["siglip"], temperature=0.05).temperature == pytest.approx(0.05)
    assert not build(folders["clip"], learn_temperature=False).logit_scale.requires_grad


@pytest.mark.parametrize("kind", WRITERS)
def test_adapters_alone_learn_and_merge(kind: str, folders: dict[str, Path]) -> None:
    model, pictures = build(folders[kind], lora_rank=2), torch.randn(2, 3, SIZE, SIZE)
    ids, mask = tokens(folders[kind])
    plain = build(folders[kind])
    with torch.no_grad():  # adapters begin as no change
        torch.testing.assert_close(model.encode_image(pictures), plain.encode_image(pictures))
    for tower in (model.image_encoder, model.text_encoder):
        tower.freeze(2)
        learning = {name for name, parameter in tower.named_parameters() if parameter.requires_grad}
        assert learning
        assert all("lora_" in name and "layers" in name for name in learning)
        for name, parameter in tower.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        before = model.encode_image(pictures), model.encode_text(ids, mask)
        model.image_encoder.merge_adapters()
        model.text_encoder.merge_adapters()
        after = model.encode_image(pictures), model.encode_text(ids, mask)
    assert plain.state_dict().keys() == model.state_dict().keys()
    torch.testing.assert_close(before, after)
    assert not torch.allclose(after[0], plain.encode_image(pictures), atol=1e-3)


@pytest.mark.parametrize("kind", WRITERS)
def test_tokens_are_the_places_of_a_picture(kind: str, folders: dict[str, Path]) -> None:
    tower = build(folders[kind]).image_encoder
    with torch.no_grad():
        found = tower.tokens(torch.randn(2, 3, SIZE, SIZE))
    side = math.isqrt(found.shape[1])
    assert found.shape == (2, side * side, tower.num_token_features)


def test_pictures_of_another_size_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"takes pictures of 32 pixels, not 48: leave data.image_size=null"):
        build(folders["clip"]).encode_image(torch.zeros(1, 3, 48, 48))


def test_a_rank_below_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="lora_rank must be 0 or more"):
        CLIP("anything", lora_rank=-1)


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"architecture\.layout must be transformers or open_clip"):
        CLIP(weights=None, architecture={"layout": "other"})
