"""The networks: two towers, and the dual encoder that joins them."""

from imtext.models.bow import BagOfWords
from imtext.models.dual_encoder import DualEncoder
from imtext.models.gru import GRUEncoder
from imtext.models.hf import HuggingFaceEncoder
from imtext.models.hf_lstm import HuggingFaceLSTMEncoder
from imtext.models.image_encoder import ImageEncoder
from imtext.models.lstm import LSTMEncoder
from imtext.models.mobilenet import MobileNetV3Large, MobileNetV3Small
from imtext.models.static import StaticEncoder
from imtext.models.text_encoder import TextEncoder
from imtext.models.timm_encoder import TimmEncoder
from imtext.models.transformer import TransformerEncoder
from imtext.models.vit import VisionTransformer

__all__ = [
    "BagOfWords",
    "DualEncoder",
    "GRUEncoder",
    "HuggingFaceEncoder",
    "HuggingFaceLSTMEncoder",
    "ImageEncoder",
    "LSTMEncoder",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "StaticEncoder",
    "TextEncoder",
    "TimmEncoder",
    "TransformerEncoder",
    "VisionTransformer",
]
