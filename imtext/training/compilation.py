"""torch.compile for the towers (`compile=true`)."""

from __future__ import annotations

import torch

from imtext.errors import ConfigError
from imtext.models import DualEncoder


def compile_towers(model: DualEncoder, wanted: bool | str) -> None:
    """Let torch compile the forward pass of both towers, when it is first called.

    It happens in place: names in checkpoints do not change, and exports and evaluations know nothing of it. One graph
    serves batches of any size, so that the last, smaller batch, captions of another length and the parts of a GradCache
    compile nothing again.

    Args:
        model: its towers are compiled.
        wanted: True for torch's default compiler (inductor), or the name of another one; False does nothing.

    Raises:
        ConfigError: torch has no such compiler.
    """
    if not wanted:
        return
    backend = "inductor" if wanted is True else wanted
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise ConfigError(f"compile={backend}: torch has no such compiler. Use true, or one of {', '.join(known)}")
    for tower in (model.image_encoder, model.text_encoder):
        tower.compile(backend=backend, dynamic=True)
