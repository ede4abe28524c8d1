"""CLIP, MetaCLIP 2, SigLIP and SigLIP 2 in the layout of transformers: `config.json`, `model.safetensors` and more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from imtext.errors import ConfigError, needs
from imtext.models.clip.towers import LayeredImageEncoder, LayeredTextEncoder, Parts, Words
from imtext.preprocess import Preprocess

CLIP_TYPES = ("clip", "metaclip_2")
SIGLIP = "siglip"  # also SigLIP 2 of fixed resolution, which has the same network
# Linear layers of the layers of both towers, not of the pooling.
ADAPTED = r"layers\.\d+\.layer\.(self_attn\.(q_proj|k_proj|v_proj|out_proj)|mlp\.(fc1|fc2))"
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
RESAMPLE = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # Pillow's numbers


def read_architecture(folder: Path) -> dict[str, Any]:
    """The settings from which `build` makes the same network again, in plain values.

    Raises:
        ConfigError: the folder holds another kind of model.
    """
    config = read_json(folder / "config.json")
    check_type(config, folder)
    return {"layout": "transformers", "config": config, "preprocess": read_preprocess(folder, config).to_dict()}


def check_type(config: Mapping[str, Any], folder: Path) -> None:
    """Refuse models that are no dual encoder of the known kinds.

    Raises:
        ConfigError: another kind of model.
    """
    kind = config.get("model_type")
    if kind == "siglip2":
        raise ConfigError(
            f"{folder} is a SigLIP 2 model of variable resolution (naflex), which takes patches and not pictures. Use "
            "one of fixed resolution, such as google/siglip2-base-patch16-224"
        )
    if kind not in (*CLIP_TYPES, SIGLIP):
        raise ConfigError(
            f"{folder} holds a model of type {kind!r}. model=clip reads {', '.join((*CLIP_TYPES, SIGLIP))}; for a "
            "text model alone use model/text_encoder=hf"
        )


def read_preprocess(folder: Path, config: Mapping[str, Any]) -> Preprocess:
    """The preprocessing in `preprocessor_config.json` or `processor_config.json`; without them that of the paper."""
    known = read_json(folder / "preprocessor_config.json", optional=True)
    known = known or read_json(folder / "processor_config.json", optional=True).get("image_processor", {})
    is_siglip = config["model_type"] == SIGLIP
    size = known.get("size", {})
    shortest = isinstance(size, int) or "shortest_edge" in size or bool(known.get("do_center_crop"))
    defaults: tuple[Any, Any] = ((0.5,) * 3, (0.5,) * 3) if is_siglip else (CLIP_MEAN, CLIP_STD)
    return Preprocess(
        image_size=config.get("vision_config", {}).get("image_size", 224),
        image_mean=known.get("image_mean") or defaults[0],
        image_std=known.get("image_std") or defaults[1],
        resize="crop" if (shortest if known else not is_siglip) else "squash",
        interpolation=RESAMPLE[known.get("resample", 3)],  # type: ignore[arg-type]
    )


def build(architecture: Mapping[str, Any], folder: Path | None) -> Parts:
    """Build the network.

    Args:
        architecture: see `read_architecture`.
        folder: has the weights; None for random weights.

    Raises:
        ConfigError: the weights are missing or belong to another network.
    """
    with needs("hf"):
        from transformers import AutoModel
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    values = dict(architecture["config"])
    config = CONFIG_MAPPING[values["model_type"]].from_dict(values)
    config._attn_implementation = "sdpa"
    model = AutoModel.from_config(config, dtype=torch.float32) if folder is None else _load(folder, config)
    preprocess = Preprocess.from_dict(architecture["preprocess"])
    if values["model_type"] == SIGLIP and getattr(model.vision_model, "use_head", True) is False:
        raise ConfigError("This SigLIP model has no pooling head, so it gives no embedding of a picture")
    return (_siglip if values["model_type"] == SIGLIP else _clip)(model, preprocess)


def _load(folder: Path, config: Any) -> Any:
    from transformers import AutoModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    if (folder / "adapter_config.json").is_file():
        raise ConfigError(f"{folder} holds adapters of another model (adapter_config.json): merge them into it first")
    try:
        model, report = AutoModel.from_pretrained(
            folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"The weights in {folder} cannot be read: {' '.join(str(error).split())[:300]} imtext only reads "
            "model.safetensors, because other formats can run code"
        ) from error
    if missing := sorted(report["missing_keys"]):
        raise ConfigError(f"{folder} lacks {len(missing)} weights of its network, such as {missing[0]}")
    return model


class Layer(nn.Module):
    """A layer of transformers with an optional mask ``[L, L]``, True where a token may look."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, hidden: Tensor, visible: Tensor | None = None) -> Tensor:
        """``[N, L, W]`` → ``[N, L, W]``."""
        mask = None if visible is None else visible.expand(hidden.shape[0], 1, *visible.shape)
        out: Tensor = self.layer(hidden, mask)
        return out


class ClassToken(nn.Module):
    """The norm of the first token: ``[N, L, W]`` → ``[N, W]``."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, hidden: Tensor) -> Tensor:
        """Pool."""
        out: Tensor = self.norm(hidden[:, 0])
        return out


def _clip(model: Any, preprocess: Preprocess) -> Parts:
    vision, text = model.vision_model, model.text_model
    stem = nn.Sequential(vision.embeddings, vision.pre_layrnorm)
    layers = [Layer(layer) for layer in vision.encoder.layers]
    image_width, text_width = vision.config.hidden_size, text.config.hidden_size
    return Parts(
        LayeredImageEncoder(
            [stem, *layers, ClassToken(vision.post_layernorm)], image_width, preprocess, num_prefix_tokens=1
        ),
        LayeredTextEncoder(
            Words(text.embeddings.token_embedding, text.embeddings.position_embedding),
            [Layer(layer) for layer in text.encoder.layers],
            text.final_layer_norm,
            text_width,
            causal=True,
            pool="last_token",
        ),
        model.visual_projection,
        model.text_projection,
        model.config.projection_dim,
        model.logit_scale.detach(),
    )


def _siglip(model: Any, preprocess: Preprocess) -> Parts:
    vision, text = model.vision_model, model.text_model
    layers = [Layer(layer) for layer in vision.encoder.layers]
    head = nn.Sequential(vision.post_layernorm, vision.head)
    return Parts(
        LayeredImageEncoder([vision.embeddings, *layers, head], vision.config.hidden_size, preprocess),
        LayeredTextEncoder(
            Words(text.embeddings.token_embedding, text.embeddings.position_embedding),
            [Layer(layer) for layer in text.encoder.layers],
            text.final_layer_norm,
            text.config.hidden_size,
            causal=False,
            pool="last_position",
        ),
        nn.Identity(),
        text.head,
        vision.config.hidden_size,
        model.logit_scale.detach().reshape(()),
    )


def read_json(path: Path, optional: bool = False) -> dict[str, Any]:
    """A JSON object in a file; empty if it is missing and optional.

    Raises:
        ConfigError: the file is missing or is no JSON object.
    """
    if optional and not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no settings")
    return content
