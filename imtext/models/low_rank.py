"""Low-rank adapters (LoRA) for pretrained networks."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from imtext.errors import ConfigError, needs


def add_adapters(network: nn.Module, rank: int, alpha: float, targets: str | Sequence[str]) -> None:
    """Add low-rank matrices to dense layers, in place (Hu et al., "LoRA", ICLR 2022).

    Their product is zero at first, so the output does not change. The names of their parameters contain ``lora_``.

    Args:
        network: of the transformers library.
        rank: rank of the matrices.
        alpha: scale of their product, divided by `rank`.
        targets: ``all-linear``, a regular expression or a list of names of modules.

    Raises:
        ConfigError: the network has no such modules.
        MissingExtraError: peft is not installed.
    """
    with needs("hf"):
        from peft import LoraConfig, inject_adapter_in_model
    chosen = targets if isinstance(targets, str) else list(targets)
    try:
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=chosen), network)
    except ValueError as error:
        raise ConfigError(f"model.text_encoder.lora_targets={targets}: {error}") from error


def merge_adapters(network: nn.Module) -> None:
    """Add the product of the low-rank matrices to the weights, and leave the plain layers of the network."""
    with needs("hf"):
        from peft.tuners.tuners_utils import BaseTunerLayer
    for name, module in list(network.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            network.set_submodule(name, module.get_base_layer())
