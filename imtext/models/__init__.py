"""The networks: one file a tower, and the dual encoder that joins them."""

from imtext.models.dual_encoder import DualEncoder
from imtext.models.image_encoders import ImageEncoder, MobileNetV3Small
from imtext.models.text_encoders import LSTMEncoder

__all__ = ["DualEncoder", "ImageEncoder", "LSTMEncoder", "MobileNetV3Small"]
