"""Published results that stand beside ours in docs/results.md."""

from __future__ import annotations

from typing import NamedTuple


class Anchor(NamedTuple):
    """A published result on the 1,000 test images of Flickr8K, after training on its 6,000 training images."""

    name: str
    t2i: str
    i2t: str
    source: str


# A secondary source: https://github.com/Paranioar/Awesome_Matching_Pretraining_Transfering
COLLECTION = "collected by Paranioar/Awesome_Matching_Pretraining_Transfering"
ANCHORS = [
    Anchor("VSE, VGG-19 frozen + LSTM", "12.5 / 37.0 / 51.5", "18.0 / 40.9 / 55.0", "Kiros et al., 2014"),
    Anchor("the same, code release", "14.9 / 38.3 / 51.6", "22.3 / 48.7 / 59.8", "ryankiros/visual-semantic-embedding"),
    Anchor("Mean vector + CCA, VGG-19", "19.1 / 45.3 / 60.4", "22.6 / 48.8 / 61.2", "Klein et al., CVPR 2015"),
    Anchor("m-CNN, ensemble of four", "20.3 / 47.6 / 61.7", "24.8 / 53.7 / 67.1", "Ma et al., ICCV 2015"),
    Anchor("GMM + HGLMM Fisher vectors, VGG-19", "21.3 / 50.0 / 64.8", "31.0 / 59.3 / 73.7", "Klein et al., CVPR 2015"),
    Anchor("NAA, ResNet", "27.7 / 59.6 / 71.8", "37.2 / 68.1 / 79.1", f"2019, {COLLECTION}"),
    Anchor("MFM, VGG", "28.4 / 58.5 / 72.3", "35.6 / 67.0 / 78.6", f"2020, {COLLECTION}"),
    Anchor("ITMeetsAL, MobileNet", "–", "30.9 / 58.6 / 70.8", f"2021, {COLLECTION}"),
    Anchor("ITMeetsAL, ResNet", "–", "40.1 / 67.8 / 79.2", f"2021, {COLLECTION}"),
    Anchor("CLIP ViT-B/32, zero-shot (400 M pairs)", "51.1 / 77.9 / 86.4", "68.2 / 88.4 / 94.6", COLLECTION),
]
