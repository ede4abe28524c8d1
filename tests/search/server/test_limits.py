"""The documented limits."""

from __future__ import annotations

from pathlib import Path

from imtext.search.server.limits import Limits


def test_the_documentation_names_the_limits() -> None:
    text = (Path(__file__).parents[3] / "docs" / "search.md").read_text().replace("\n", " ")
    limits = Limits()
    assert f"{limits.image_bytes // 10**6} MB and {limits.image_pixels // 10**6} million pixels each" in text
    assert f"to {limits.body_bytes // 10**6} MB together" in text
    assert f"rerank_top_k, which is at most {limits.rerank_top_k}" in text.replace("`", "")
