"""Models of open_clip: a folder with `open_clip_config.json`, or one of its names with a tag of its weights."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from imtext.errors import ConfigError, needs
from imtext.models.clip.towers import LayeredImageEncoder, LayeredTextEncoder, Parts, Pool, Words, matrix
from imtext.models.clip.transformers_layout import read_json
from imtext.preprocess import Preprocess

CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "model.safetensors", "open_clip_pytorch_model.bin")
# The attention has one matrix for queries, keys and values, which is no linear layer; so the MLPs are adapted.
ADAPTED = r"layers\.\d+\.layer\.mlp\.(c_fc|c_proj)"
POOLS: dict[str, Pool] = {"argmax": "last_token", "eos": "last_token", "last": "last_position", "first": "first"}
RESIZE = {"shortest": "crop", "squash": "squash"}


def read_architecture(folder: Path) -> dict[str, Any]:
    """The settings from which `build` makes the network of a folder again, in plain values.

    Raises:
        ConfigError: the network is of a kind that cannot be used.
    """
    content = read_json(folder / CONFIG)
    if "model_cfg" not in content:
        raise ConfigError(f"{folder / CONFIG} has no model_cfg")
    return _architecture(content["model_cfg"], content.get("preprocess_cfg", {}), str(folder))


def published_architecture(name: str, tag: str) -> dict[str, Any]:
    """Like `read_architecture`, for a name and a tag of open_clip.

    Raises:
        ConfigError: open_clip does not know the tag.
    """
    with needs("open-clip"):
        import open_clip

    known = open_clip.get_pretrained_cfg(name, tag)
    if not known:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise ConfigError(f"open_clip has no weights {tag!r} of {name}; there are {tags}")
    config = {**open_clip.get_model_config(name), "quick_gelu": bool(known.get("quick_gelu", False))}
    return _architecture(config, known, f"{name}/{tag}")


def download(name: str, tag: str) -> Path:
    """The file of published weights; it is downloaded once.

    Raises:
        ConfigError: there is no connection.
    """
    with needs("open-clip"):
        import open_clip

    try:
        return Path(open_clip.download_pretrained(open_clip.get_pretrained_cfg(name, tag)))
    except Exception as error:  # the libraries of downloads raise many kinds of errors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"The weights {tag} of {name} cannot be downloaded ({reason}). Download them on a machine with a network "
            "and give their folder: model.name=<folder>"
        ) from error


def _architecture(config: Mapping[str, Any], preprocess: Mapping[str, Any], source: str) -> dict[str, Any]:
    with needs("open-clip"):
        from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    text = config.get("text_cfg", {})
    for setting, what in (("multimodal_cfg", "a CoCa model"), ("embed_cls", "a CoCa model")):
        if config.get(setting) or text.get(setting):
            raise ConfigError(f"{source} is {what}, which model=clip does not read")
    if text.get("hf_model_name"):
        raise ConfigError(
            f"{source} takes its text tower from {text['hf_model_name']}, which model=clip does not read. Take the "
            "same model in the layout of transformers"
        )
    found = merge_preprocess_dict(asdict(PreprocessCfg()), dict(preprocess))
    size = config["vision_cfg"].get("image_size", 224)
    if not isinstance(size, int) and len(set(size)) > 1:
        raise ConfigError(f"{source} takes pictures of {size[0]} × {size[1]} pixels, but only squares can be used")
    if found["resize_mode"] not in RESIZE:
        raise ConfigError(f"{source} resizes pictures by {found['resize_mode']!r}; known are {', '.join(RESIZE)}")
    prepared = Preprocess(
        image_size=size if isinstance(size, int) else size[0],
        image_mean=found["mean"],
        image_std=found["std"],
        resize=RESIZE[found["resize_mode"]],  # type: ignore[arg-type]
        interpolation=found["interpolation"] if found["interpolation"] != "random" else "bicubic",
    )
    return {"layout": "open_clip", "config": copy.deepcopy(dict(config)), "preprocess": prepared.to_dict()}


def find_weights(folder: Path) -> Path:
    """The file of the weights in a folder.

    Raises:
        ConfigError: there is none.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"There are no weights in {folder}: it has none of {', '.join(WEIGHTS)}")


def build(architecture: Mapping[str, Any], weights: Path | None) -> Parts:
    """Build the network.

    Args:
        architecture: see `read_architecture`.
        weights: file of the weights; None for random weights.

    Raises:
        ConfigError: the weights cannot be read or belong to another network.
    """
    with needs("open-clip"):
        import open_clip
        from open_clip.transformer import VisionTransformer

    config = copy.deepcopy(dict(architecture["config"]))
    config["vision_cfg"]["timm_model_pretrained"] = False
    custom = config.pop("custom_text", False)
    model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**config)
    if weights is not None:
        try:
            open_clip.load_checkpoint(model, str(weights), strict=True, weights_only=True)
        except (OSError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ConfigError(f"The weights {weights} do not fit their network: {reason}") from error
    model = model.float()
    preprocess = Preprocess.from_dict(architecture["preprocess"])
    text = model.text if custom else model
    image_projection: nn.Module = nn.Identity()
    visual = model.visual
    if isinstance(visual, VisionTransformer) and visual.attn_pool is None:
        image_projection = matrix(visual.proj)
        layers = [Stem(visual), *(Layer(block) for block in visual.transformer.resblocks), Head(visual)]
        image_encoder = LayeredImageEncoder(
            layers, visual.proj.shape[0], preprocess, visual.conv1.out_channels, num_prefix_tokens=1
        )
    else:  # another network, such as a ResNet or one of timm, is one block with its projection
        image_encoder = LayeredImageEncoder([visual], config["embed_dim"], preprocess)
    return Parts(
        image_encoder,
        _text_encoder(text, custom),
        image_projection,
        _text_projection(text.text_projection),
        config["embed_dim"],
        model.logit_scale.detach().reshape(()),
    )


def _text_encoder(text: Any, custom: bool) -> LayeredTextEncoder:
    weight = text.positional_embedding.detach()
    positions = nn.Embedding(weight.shape[0], weight.shape[1], _weight=weight)
    pool = text.pool_type if custom else text.text_pool_type
    if pool not in POOLS:
        raise ConfigError(f"The text tower pools by {pool!r}; known are {', '.join(POOLS)}")
    layers = [Layer(block) for block in text.transformer.resblocks]
    width = text.token_embedding.embedding_dim
    causal = text.attn_mask is not None
    words = Words(text.token_embedding, positions)
    return LayeredTextEncoder(words, layers, text.ln_final, width, causal, POOLS[pool])


def _text_projection(projection: Any) -> nn.Module:
    if projection is None:
        return nn.Identity()
    return projection if isinstance(projection, nn.Linear) else matrix(projection)


def reads_padding(config: Mapping[str, Any]) -> bool:
    """Whether the text tower also reads padding, so that all texts need the same length."""
    text = config["text_cfg"]
    return bool(text.get("no_causal_mask")) or POOLS.get(text.get("pool_type", "argmax")) == "last_position"


class Stem(nn.Module):
    """Patches and positions of open_clip's vision transformer: ``[B, 3, H, W]`` → ``[B, L, W]``."""

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.conv1, self.ln_pre, self.patch_dropout = visual.conv1, visual.ln_pre, visual.patch_dropout
        self.class_embedding, self.positional_embedding = visual.class_embedding, visual.positional_embedding

    def forward(self, image: Tensor) -> Tensor:
        """Embed patches."""
        patches = self.conv1(image).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(image.shape[0], 1, -1)
        out: Tensor = self.ln_pre(self.patch_dropout(torch.cat([first, patches], dim=1) + self.positional_embedding))
        return out


class Layer(nn.Module):
    """A layer of open_clip with an optional mask ``[L, L]``, True where a token may look."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, hidden: Tensor, visible: Tensor | None = None) -> Tensor:
        """``[N, L, W]`` → ``[N, L, W]``."""
        mask = None
        if visible is not None:
            mask = torch.zeros_like(visible, dtype=hidden.dtype).masked_fill(~visible, -torch.inf)
        out: Tensor = self.layer(hidden, attn_mask=mask)
        return out


class Head(nn.Module):
    """Norm and pooling of open_clip's vision transformer: ``[B, L, W]`` → ``[B, num_features]``."""

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.ln_post = visual.ln_post
        self.after_pool, self.average = visual.final_ln_after_pool, visual.pool_type == "avg"

    def forward(self, hidden: Tensor) -> Tensor:
        """Pool."""
        if not self.after_pool:
            hidden = self.ln_post(hidden)
        pooled: Tensor = hidden[:, 1:].mean(dim=1) if self.average else hidden[:, 0]
        return self.ln_post(pooled) if self.after_pool else pooled
