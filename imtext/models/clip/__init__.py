"""Pretrained dual encoders of transformers and open_clip: CLIP, SigLIP and their relatives."""

from imtext.models.clip.model import CLIP

__all__ = ["CLIP"]
