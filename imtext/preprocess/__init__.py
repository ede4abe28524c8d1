"""Convert pictures and texts to model input: the same code for training and search, without torch."""

from imtext.preprocess.formats import FORMATS
from imtext.preprocess.picture import (
    MAX_PIXELS,
    Interpolation,
    Pixels,
    Preprocess,
    Resize,
    open_image,
    read_head,
    register,
    upright_rgb,
)

__all__ = [
    "FORMATS", "MAX_PIXELS", "Interpolation", "Pixels", "Preprocess", "Resize", "open_image", "read_head", "register",
    "upright_rgb",
]  # fmt: skip
