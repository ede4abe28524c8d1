"""Towers divided among the processes (`trainer=fsdp`), for those too large for one device with their optimizer.

Each process keeps a part of every parameter of the towers, of its gradient and of its optimizer state, and collects a
layer when it is needed (Rajbhandari et al., "ZeRO", SC 2020). Projections, temperature and loss are small: every
process has all of them. torch's `fully_shard` (FSDP2) does the work. Lightning's `FSDPStrategy` wraps the older FSDP1,
for GPUs only; its `ModelParallelStrategy` is experimental, and its hooks do not fit our checkpoints.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm

from imtext.models.tower import Tower
from imtext.training.distributed import is_rank_zero, world_size

# A layer with one of these is no transformer's; it is collected together with the rest of its tower.
OTHERS = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.RNNBase)


class FullySharded(DDPStrategy):
    """Lightning's strategy for several processes, with divided towers instead of copies of them.

    The towers are divided when training starts. Before that they are whole, so that the untrained model is measured,
    features are cached and checkpoints are read as in a single process. Checkpoints are ordinary ones.
    """

    def setup(self, trainer: Trainer) -> None:
        """Divide the towers before training; after it, they stay divided."""
        assert self.lightning_module is not None
        if trainer.state.fn == TrainerFn.FITTING or not is_sharded(self.lightning_module):
            super().setup(trainer)
            return
        assert self.accelerator is not None
        self.accelerator.setup(trainer)
        self.model_to_device()  # training has ended with all weights on the CPU
        self.setup_precision_plugin()

    def configure_ddp(self) -> None:
        """Called by Lightning when the weights are on their device, and before the optimizer is built."""
        module = self.lightning_module
        assert module is not None
        for value in (*module.parameters(), *module.buffers()):
            dist.broadcast(value.detach(), 0)
        mesh = init_device_mesh(self.root_device.type, (self.world_size,))
        for tower in towers_of(module):
            shard(tower, mesh)

    def post_backward(self, closure_loss: Tensor) -> None:
        """Average the gradients of what is not divided; those of towers already are."""
        assert self.lightning_module is not None
        gradients = [
            value.grad for value in self.lightning_module.parameters()
            if value.grad is not None and not isinstance(value, DTensor)
        ]  # fmt: skip
        together = torch.cat([each.flatten() for each in gradients])
        dist.all_reduce(together)
        means = torch.split(together / world_size(), [each.numel() for each in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The whole weights, in the first process only, which writes them."""
        assert self.lightning_module is not None
        return whole_state(self.lightning_module)

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """The whole state of the optimizer, in the first process only."""
        content: dict[str, Any] = super().optimizer_state(optimizer)
        return {**content, "state": {number: _whole(state) for number, state in content["state"].items()}}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Divide the whole state of a checkpoint as the parameters are."""
        states = copy.copy(checkpoint["optimizer_states"])
        for index, optimizer in enumerate(self.optimizers):
            parameters = [each for group in optimizer.param_groups for each in group["params"]]
            divided = {number: _like(parameters[number], state) for number, state in states[index]["state"].items()}
            states[index] = {**states[index], "state": divided}
        super().load_optimizer_state_dict({"optimizer_states": states})


def shard(tower: Tower, mesh: DeviceMesh) -> None:
    """Divide the parameters of a tower among the processes, in place.

    Every transformer layer is collected by itself when it is needed, the rest of the tower at its beginning.
    """
    before = dict(tower.named_parameters())
    for layer in transformer_layers(tower):
        fully_shard(layer, mesh=mesh)
    fully_shard(tower, mesh=mesh, reshard_after_forward=True)
    after = dict(tower.named_parameters())
    replaced = {parameter: after[name] for name, parameter in before.items()}
    for block in tower.blocks:  # blocks may hold parameters beside the module that owns them
        for module in block.modules():
            owned = module._parameters.items()
            module._parameters.update({name: replaced[value] for name, value in owned if value in replaced})


def transformer_layers(network: nn.Module) -> Iterator[nn.Module]:
    """The outermost modules that are repeated in a list and consist of linear layers, without convolutions."""
    for child in network.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            kinds = Counter(type(each) for each in child)
            for each in child:
                parts = list(each.modules())
                linear = any(isinstance(part, nn.Linear) for part in parts)
                if kinds[type(each)] > 1 and linear and not any(isinstance(part, OTHERS) for part in parts):
                    yield each
                else:
                    yield from transformer_layers(each)
        else:
            yield from transformer_layers(child)


def towers_of(module: nn.Module) -> list[Tower]:
    """The towers of a model, each of which is divided as a whole; a tower may contain another one."""
    found: list[Tower] = []
    for child in module.children():
        found += [child] if isinstance(child, Tower) else towers_of(child)
    return found


def is_sharded(module: nn.Module) -> bool:
    """Whether parameters are divided among processes."""
    return any(isinstance(parameter, DTensor) for parameter in module.parameters())


def whole_state(module: nn.Module) -> dict[str, Any]:
    """The state dict of a module; if parts of it are divided, all processes call this, and the first one gets it."""
    state = module.state_dict()
    return _whole(state) if is_sharded(module) else state


def load_whole_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load an ordinary state dict, also into a module whose parameters are divided."""
    own = module.state_dict()
    module.load_state_dict({name: _as(own[name], value) if name in own else value for name, value in state.items()})


def clip_gradients(module: LightningModule, limit: float, algorithm: str) -> None:
    """Clip the gradients of a module with divided parameters, by their common ``norm`` or each by its ``value``."""
    divided = [each for each in module.parameters() if isinstance(each, DTensor) and each.grad is not None]
    others = [each for each in module.parameters() if not isinstance(each, DTensor) and each.grad is not None]
    parts = [part for part in (divided, others) if part]
    if algorithm == "value":
        for part in parts:
            clip_grad_value_(part, limit)
        return
    norms = [get_total_norm([each.grad for each in part if each.grad is not None]) for part in parts]
    total = torch.stack([norm.full_tensor() if isinstance(norm, DTensor) else norm for norm in norms]).norm()
    for part in parts:
        clip_grads_with_norm_(part, limit, total)


def _whole(state: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what is divided, on the CPU; empty in all processes but the first."""
    found = {}
    for name, value in state.items():
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        if is_rank_zero():
            found[name] = whole.cpu() if isinstance(whole, Tensor) else whole
    return found


def _like(parameter: Tensor, state: Mapping[str, Any]) -> dict[str, Any]:
    """The state of an optimizer for a parameter, divided as it is; the number of steps is no part of it."""
    return {
        name: _as(parameter, value) if isinstance(value, Tensor) and value.shape == parameter.shape else value
        for name, value in state.items()
    }


def _as(own: Tensor, value: Tensor) -> Tensor:
    """Divide a tensor as `own` is; nothing is sent, because every process has all of it."""
    if not isinstance(own, DTensor):
        return value
    return distribute_tensor(value.to(own.device), own.device_mesh, own.placements, src_data_rank=None)
