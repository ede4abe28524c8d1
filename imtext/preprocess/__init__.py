"""How a picture and a text become model input: one definition each, for training and search alike. Free of torch."""

from imtext.preprocess.picture import (
    FORMATS,
    MAX_PIXELS,
    Interpolation,
    Pixels,
    Preprocess,
    Resize,
    open_image,
    upright_rgb,
)

__all__ = ["FORMATS", "MAX_PIXELS", "Interpolation", "Pixels", "Preprocess", "Resize", "open_image", "upright_rgb"]
