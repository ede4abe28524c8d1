"""Where a training runs and in which precision."""

from __future__ import annotations

import ctypes
import logging
import sys

import torch
from omegaconf import DictConfig

from imtext.errors import ConfigError

log = logging.getLogger(__name__)


def settle_device(trainer: DictConfig) -> None:
    """Replace `auto`, and what is not here, in a trainer's settings.

    Raises:
        ConfigError: more than one device.
    """
    if trainer.get("devices", 1) not in (1, "1", "auto"):
        raise ConfigError(f"trainer.devices={trainer.devices}: a training uses one device, so leave it at 1")
    trainer.accelerator = resolve_accelerator(str(trainer.accelerator))
    trainer.precision = resolve_precision(trainer.precision, trainer.accelerator)
    log.info("Device: %s, precision %s, %d threads", trainer.accelerator, trainer.precision, torch.get_num_threads())


def resolve_accelerator(wanted: str) -> str:
    """`auto`, `cpu`, `gpu`, `cuda` or `mps` → one that is here.

    `auto` is MPS on an Apple-silicon Mac, CUDA where there is one, else the CPU. Asking for one that is missing is
    worth a warning, not a failure: the same command then works on every machine.

    Raises:
        ConfigError: none of these.
    """
    if wanted not in ("auto", "cpu", "gpu", "cuda", "mps"):
        raise ConfigError(f"trainer.accelerator takes auto, cpu, gpu, cuda or mps, not {wanted!r}")
    available = {"mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available(), "cpu": True}
    if wanted in ("auto", "gpu"):
        best = next(name for name, here in available.items() if here)
        if wanted == "gpu" and best == "cpu":
            log.warning("trainer.accelerator=gpu: there is no GPU here; training on the CPU instead")
        return best
    if not available[wanted]:
        log.warning("trainer.accelerator=%s is not available here; training on the CPU instead", wanted)
        return "cpu"
    return wanted


def resolve_precision(wanted: str | int, accelerator: str) -> str:
    """`auto` → mixed bfloat16 on a CUDA device that computes in it, single precision elsewhere.

    MPS and CPUs run these small towers no faster in half precision, and single precision is bit-reproducible.
    """
    if wanted != "auto":
        return str(wanted)
    if accelerator == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16-mixed"
    return "32-true"


def keep_freed_memory() -> None:
    """Let the C library keep what a training step frees for the next step.

    glibc hands large freed blocks back to the system and asks for the same again a moment later, cleared page by page:
    a fifth of the time of a training step on a CPU. Elsewhere this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3  # of malloc.h
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_threshold, 32 * 2**20)  # the largest it takes
