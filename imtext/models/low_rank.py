"""Low-rank adapters (LoRA) for pretrained networks."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from imtext.errors import ConfigError, needs
from imtext.models.tower import Tower


def adapt(
    tower: Tower, network: nn.Module, rank: int, alpha: float, targets: str | Sequence[str], setting: str
) -> None:
    """Add low-rank matrices to dense layers of a tower; only these learn from now on.

    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022. The product of the matrices is zero at
    first, so the output does not change. The names of their parameters contain ``lora_``.

    Args:
        tower: changed in place.
        network: the part of the tower that `targets` names modules of.
        rank: rank of the matrices.
        alpha: scale of their product, divided by `rank`.
        targets: ``all-linear``, a regular expression or a list of names of modules.
        setting: name of the setting that `targets` comes from, for messages.

    Raises:
        ConfigError: the tower has no such modules.
        MissingExtraError: peft is not installed.
    """
    with needs("hf"):
        from peft import LoraConfig, inject_adapter_in_model
    chosen = targets if isinstance(targets, str) else list(targets)
    try:
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=chosen), network)
    except ValueError as error:
        raise ConfigError(f"{setting}={targets}: {error}") from error
    tower.low_rank = True
    tower.freeze(0)


def merge_into(tower: Tower) -> None:
    """Add the product of the low-rank matrices to the weights, and remove them: the weights themselves learn again."""
    if not tower.low_rank:
        return
    with needs("hf"):
        from peft.tuners.tuners_utils import BaseTunerLayer
    for name, module in list(tower.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            tower.set_submodule(name, module.get_base_layer())
    tower.low_rank = False
    tower.freeze(tower.num_frozen)
