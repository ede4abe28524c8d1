"""timm's networks as sequences of blocks, for freezing, layer-wise rates and cached features."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn

from imtext.errors import needs

with needs("timm"):
    from timm.models.convnext import ConvNeXt
    from timm.models.efficientnet import EfficientNet
    from timm.models.eva import Eva
    from timm.models.mobilenetv3 import MobileNetV3
    from timm.models.resnet import ResNet
    from timm.models.vision_transformer import VisionTransformer


def blocks_of(network: Any) -> tuple[nn.Module, ...]:
    """Split a network into blocks whose sequence computes the same as the network.

    The blocks contain the modules and parameters of the network, no copies. They are: the stem or the patches with
    their positions; each residual block; the pooling with what follows. Whatever normalises the places of the picture
    before the pooling belongs to the last residual block.

    Args:
        network: made by `timm.create_model` with ``num_classes=0``.

    Returns:
        The blocks from the picture up. A network of a family that is not known here is a single block.
    """
    for family, split in FAMILIES.items():
        if isinstance(network, family) and _computes_as(type(network), family):
            blocks: tuple[nn.Module, ...] = tuple(split(network))
            return blocks
    return (network,)


class Patches(nn.Module):
    """Pictures ``[B, 3, H, W]`` → tokens ``[B, T, C]`` with positions: the first block of a vision transformer.

    Args:
        network: a vision transformer of timm.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        _take(self, network, ("patch_embed", "pos_drop", "patch_drop", "norm_pre"))
        _take(self, network, ("cls_token", "reg_token", "pos_embed"))
        self._network = (network,)  # a tuple, so that the network is no part of its own block

    def forward(self, image: Tensor) -> Tensor:
        """Cut into patches, add class and register tokens and positions."""
        network = self._network[0]
        tokens = network._pos_embed(network.patch_embed(image))
        if isinstance(tokens, tuple):  # Eva: the second item are rotary positions
            return network.norm_pre(tokens[0])  # type: ignore[no-any-return]
        return network.norm_pre(network.patch_drop(tokens))  # type: ignore[no-any-return]


class Rotary(nn.Module):
    """A transformer block with rotary positions (Su et al., 2021), if its network has any.

    Args:
        network: an `Eva` of timm, which computes the positions.
        block: one of its blocks.
    """

    def __init__(self, network: Any, block: nn.Module) -> None:
        super().__init__()
        self.block = block
        self._network = (network,)

    def forward(self, tokens: Tensor) -> Tensor:
        """Apply the block: ``[B, T, C]`` → ``[B, T, C]``."""
        network = self._network[0]
        shape = None if getattr(network.rope, "feat_shape", None) else network.patch_embed.grid_size
        rope = None if network.rope is None else network.rope.get_embed(shape)
        return self.block(tokens, rope=rope)  # type: ignore[no-any-return]


class Head(nn.Module):
    """Features of places → features of the picture: the pooling and what follows.

    Args:
        network: a network of timm.
        names: its modules that compute this.
    """

    def __init__(self, network: Any, *names: str) -> None:
        super().__init__()
        _take(self, network, names)
        self._network = (network,)

    def extra_repr(self) -> str:
        """The kind of pooling, which no module of a transformer says."""
        return f"{type(self._network[0]).__name__}, global_pool={self._network[0].global_pool}"

    def forward(self, features: Tensor) -> Tensor:
        """Maps ``[B, C, h, w]`` or tokens ``[B, T, C]`` → ``[B, num_features]``."""
        return self._network[0].forward_head(features, pre_logits=True)  # type: ignore[no-any-return]


def _take(block: nn.Module, network: Any, names: Iterable[str]) -> None:
    """Register modules and parameters of a network in a block, where the network has them."""
    for name in names:
        part = getattr(network, name, None)
        if isinstance(part, nn.Module | nn.Parameter):
            setattr(block, name, part)


def _computes_as(kind: type, family: type) -> bool:
    """Whether a subclass computes its features as the family does."""
    return all(
        getattr(kind, method) is getattr(family, method) for method in ("forward", "forward_features", "forward_head")
    )


def _flat(stages: Iterable[Any]) -> list[nn.Module]:
    return [block for stage in stages for block in stage]


def _efficientnet(network: Any) -> list[nn.Module]:
    return [
        nn.Sequential(network.conv_stem, network.bn1),
        *_flat(network.blocks),
        nn.Sequential(network.conv_head, network.bn2),
        Head(network, "global_pool"),
    ]


def _mobilenet(network: Any) -> list[nn.Module]:
    head = Head(network, "global_pool", "conv_head", "norm_head", "act2", "flatten")
    return [nn.Sequential(network.conv_stem, network.bn1), *_flat(network.blocks), head]


def _resnet(network: Any) -> list[nn.Module]:
    return [
        nn.Sequential(network.conv1, network.bn1, network.act1, network.maxpool),
        *_flat([network.layer1, network.layer2, network.layer3, network.layer4]),
        Head(network, "global_pool"),
    ]


def _convnext(network: Any) -> list[nn.Module]:
    blocks: list[nn.Module] = [network.stem]
    for stage in network.stages:
        first, *others = stage.blocks
        blocks += [nn.Sequential(stage.downsample, first), *others]
    return [*blocks[:-1], nn.Sequential(blocks[-1], network.norm_pre), Head(network, "head")]


def _transformer(network: Any) -> list[nn.Module]:
    *lower, last = network.blocks
    head = Head(network, "attn_pool", "fc_norm", "head_drop")
    return [Patches(network), *lower, nn.Sequential(last, network.norm), head]


def _eva(network: Any) -> list[nn.Module]:
    if network.rope_mixed or getattr(network.rope, "aug_active", False):
        return [network]  # other positions in each block, or random ones in training
    *lower, last = [Rotary(network, block) for block in network.blocks]
    head = Head(network, "attn_pool", "fc_norm", "head_drop")
    return [Patches(network), *lower, nn.Sequential(last, network.norm), head]


FAMILIES: dict[type, Callable[[Any], list[nn.Module]]] = {
    ConvNeXt: _convnext,
    EfficientNet: _efficientnet,
    Eva: _eva,
    MobileNetV3: _mobilenet,
    ResNet: _resnet,
    VisionTransformer: _transformer,
}
