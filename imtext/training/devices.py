"""The devices and the precision of a run."""

from __future__ import annotations

import logging

import torch
from omegaconf import DictConfig, open_dict

from imtext.errors import ConfigError
from imtext.training.distributed import is_rank_zero

log = logging.getLogger(__name__)
STRATEGIES: dict[str, str | dict[str, str]] = {
    "ddp": "ddp_find_unused_parameters_true",  # frozen blocks have no gradients
    "fsdp": {"_target_": "imtext.training.sharding.FullySharded"},
}


def settle_device(trainer: DictConfig, several: bool = False) -> None:
    """Replace `auto` and missing devices in a trainer's settings by devices of this machine.

    Processes that only help stay silent from here on: what they would log is what the first one logs.

    Args:
        trainer: the settings, changed in place.
        several: the program can share its work among several processes.

    Raises:
        ConfigError: the settings ask for several devices without a strategy, on a Mac's GPU, or where one must do.
    """
    if not is_rank_zero():
        logging.getLogger().setLevel(logging.ERROR)
    # Gradients of saturated units fall below 1e-38, where a CPU takes several times as long: they count as zero. This
    # is for the whole process, because torch's threads take it over once, from the thread that starts them.
    torch.set_flush_denormal(True)
    trainer.accelerator = resolve_accelerator(str(trainer.accelerator))
    trainer.precision = resolve_precision(trainer.precision, trainer.accelerator)
    if trainer.get("strategy", "auto") == "auto":
        if trainer.get("devices", 1) not in (1, "1", "auto") or trainer.get("num_nodes", 1) != 1:
            raise ConfigError(
                f"trainer.devices={trainer.devices}: several devices need trainer=ddp or trainer=fsdp; for one, add "
                "trainer.devices=1"
            )
    elif not several:
        raise ConfigError(
            f"trainer={trainer.strategy}: only single trainings by imtext.train share their work among processes"
        )
    else:
        _settle_processes(trainer)
    log.info("Device: %s, precision %s, %d threads", trainer.accelerator, trainer.precision, torch.get_num_threads())


def _settle_processes(trainer: DictConfig) -> None:
    if trainer.get("sync_batchnorm"):  # Lightning replaces norms, and with those of timm the activations in them
        raise ConfigError("trainer.sync_batchnorm is not supported: set model.image_encoder.train_batch_norm=false")
    wanted = trainer.strategy
    if wanted not in STRATEGIES:
        raise ConfigError(f"trainer.strategy takes auto, ddp or fsdp, not {wanted!r}")
    if trainer.accelerator == "mps":
        raise ConfigError(
            f"trainer={wanted}: the GPU of a Mac is one device. Add trainer.accelerator=cpu trainer.devices=2"
        )
    if trainer.accelerator == "cpu" and trainer.devices == "auto":
        raise ConfigError(
            f"trainer={wanted}: there is no GPU here. Name the number of processes on the CPU: trainer.devices=2"
        )
    if wanted == "fsdp" and trainer.precision not in ("32-true", "bf16-mixed"):
        raise ConfigError(f"trainer=fsdp takes trainer.precision=32-true or bf16-mixed, not {trainer.precision}")
    trainer.strategy = STRATEGIES[wanted]
    if wanted == "fsdp":
        with open_dict(trainer):
            trainer.inference_mode = False  # weights that are first collected in this mode could not learn afterwards


def resolve_accelerator(wanted: str) -> str:
    """`auto`, `cpu`, `gpu`, `cuda` or `mps` → `cpu`, `cuda` or `mps`, if this machine has it.

    `auto` is MPS on a Mac with Apple silicon, CUDA with an NVIDIA GPU, otherwise the CPU. A missing accelerator is a
    warning and not an error, so that the same command works on every machine.

    Raises:
        ConfigError: `wanted` is not one of these.
    """
    if wanted not in ("auto", "cpu", "gpu", "cuda", "mps"):
        raise ConfigError(f"trainer.accelerator takes auto, cpu, gpu, cuda or mps, not {wanted!r}")
    available = {"mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available(), "cpu": True}
    if wanted in ("auto", "gpu"):
        best = next(name for name, usable in available.items() if usable)
        if wanted == "gpu" and best == "cpu":
            log.warning("trainer.accelerator=gpu is not available here; training on the CPU instead")
        return best
    if not available[wanted]:
        log.warning("trainer.accelerator=%s is not available here; training on the CPU instead", wanted)
        return "cpu"
    return wanted


def resolve_precision(wanted: str | int, accelerator: str) -> str:
    """`auto` → mixed bfloat16 on a CUDA device that supports it, single precision elsewhere.

    MPS and CPUs run these small towers no faster in half precision, and single precision is reproducible bit by bit.
    """
    if wanted != "auto":
        return str(wanted)
    if accelerator == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16-mixed"
    return "32-true"
