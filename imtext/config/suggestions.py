"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean …?`, or nothing when no known name is near."""
    known, last = list(known), name.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.7)
    # `batch_size` and `lr` are easier to remember than where they live.
    near += [key for key in known if key.rsplit(".", 1)[-1] == last and key not in near]
    if not near:
        near = [key for key in known if difflib.get_close_matches(last, [key.rsplit(".", 1)[-1]], cutoff=0.8)]
    return f" Did you mean {' or '.join(near[:3])}?" if near else ""


def flat_keys(raw: dict[Any, Any], prefix: str = "") -> list[str]:
    """All keys of nested dictionaries, with dots."""
    keys: list[str] = []
    for key, value in raw.items():
        keys.append(f"{prefix}{key}")
        if isinstance(value, dict):
            keys += flat_keys(value, f"{prefix}{key}.")
    return keys
