"""The recommended models."""

from __future__ import annotations

import re
from pathlib import Path

from imtext.search.pretrained.recommended import RECOMMENDED, START


def test_names() -> None:
    assert START in RECOMMENDED
    for short, model in RECOMMENDED.items():
        assert re.fullmatch(r"[a-z0-9-]+", short), "a short name must not look like owner/name"
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.repository)
        assert model.megabytes < 2_000, "graphs of more than 2 GB do not hold their weights"


def test_the_table_of_the_docs() -> None:
    rows = {
        f"| `{short}` | {one.repository} | {one.megabytes:,} | {one.embed_dim} | {one.image_size} | "
        f"{'–' if one.recall is None else f'{one.recall:.0f} %'} | {one.when} |"
        for short, one in RECOMMENDED.items()
    }
    assert rows <= set((Path(__file__).parents[3] / "docs" / "search.md").read_text().splitlines())
