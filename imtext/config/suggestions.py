"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest known names for an unknown one.

    Args:
        name: with or without the path of its group.
        known: names to choose from.

    Returns:
        ` Did you mean …?` with up to three names, or an empty string when none is similar.
    """
    known, last = list(dict.fromkeys(known)), name.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.7)
    # People remember `batch_size`, but not that it belongs to `data`.
    near += [key for key in known if key.rsplit(".", 1)[-1] == last and key not in near]
    if not near:
        near = [key for key in known if difflib.get_close_matches(last, [key.rsplit(".", 1)[-1]], cutoff=0.8)]
    return f" Did you mean {' or '.join(near[:3])}?" if near else ""


def flat_keys(raw: dict[Any, Any], prefix: str = "") -> list[str]:
    """The keys of nested dictionaries at every level, as dotted paths."""
    keys: list[str] = []
    for key, value in raw.items():
        keys.append(f"{prefix}{key}")
        if isinstance(value, dict):
            keys += flat_keys(value, f"{prefix}{key}.")
    return keys
