"""The networks: two towers, and the dual encoder that joins them."""

from imtext.models.dual_encoder import DualEncoder
from imtext.models.image_encoder import ImageEncoder
from imtext.models.lstm import LSTMEncoder
from imtext.models.mobilenet import MobileNetV3Large, MobileNetV3Small
from imtext.models.text_encoder import TextEncoder

__all__ = ["DualEncoder", "ImageEncoder", "LSTMEncoder", "MobileNetV3Large", "MobileNetV3Small", "TextEncoder"]
