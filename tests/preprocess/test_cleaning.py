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
        (" … ", "…"),
    ],
)
def test_canonical(text: str, expected: str) -> None:
    assert canonical().normalize_str(text) == expected
