"""The recommended models."""

from __future__ import annotations

import re

from imtext.search.pretrained.recommended import RECOMMENDED, START


def test_names() -> None:
    assert START in RECOMMENDED
    for short, model in RECOMMENDED.items():
        assert re.fullmatch(r"[a-z0-9-]+", short), "a short name must not look like owner/name"
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.repository)
        assert model.megabytes < 2_000, "graphs of more than 2 GB do not hold their weights"
