"""Damaged input, drawn by Hypothesis: always the same, so that a test fails for everybody or for nobody."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

HEAD = 512  # bytes at the start of a file, which most damage hits: what follows is mostly pixels or weights


def fuzzed(examples: int) -> settings:
    """Settings of a test that takes seconds."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """The content with bytes changed, or with a part removed, replaced or cut off; sometimes the same."""
    last = len(content) - 1
    place = st.integers(0, min(HEAD, last)) | st.integers(0, last)

    def change(places: list[tuple[int, int]]) -> bytes:
        changed = bytearray(content)
        for where, mask in places:
            changed[where] ^= mask
        return bytes(changed)

    def replace(first: int, second: int, middle: bytes) -> bytes:
        return content[: min(first, second)] + middle + content[max(first, second) :]

    return st.one_of(
        st.lists(st.tuples(place, st.integers(1, 255)), min_size=1, max_size=6).map(change),
        st.builds(replace, place, place, st.binary(max_size=8)),
        place.map(lambda end: content[:end]),
    )
