"""Texts as pretrained models expect them."""

from __future__ import annotations

import pytest

from imtext.preprocess.cleaning import canonical


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A Dog, on  the\tbeach!", "a dog on the beach"),
        ("a_dog", "a dog"),
        ("it's 3:30 (p.m.)", "its 330 pm"),
        ("Café ÜBER 東京", "café über 東京"),
        (" A Dog's_house,  (red)!\n[no]-^ ", "a dogs house red no"),
        ("Größe 犬。", "größe 犬。"),  # as in training: only punctuation of ASCII is removed
    ],
)
def test_canonical(text: str, expected: str) -> None:
    assert canonical().normalize_str(text) == expected
