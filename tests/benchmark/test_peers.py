"""Other libraries, found by name; `tests/models` compares their numbers with ours."""

from __future__ import annotations

import pytest

from imtext.benchmark.peers import find_peer
from imtext.errors import ConfigError


@pytest.mark.parametrize("described", ["open_clip", "tensorflow=x", "open_clip="])
def test_an_unknown_library_is_a_message(described: str) -> None:
    with pytest.raises(ConfigError, match=r"open_clip=<model> or transformers=<model>"):
        find_peer(described)


def test_a_peer_is_built_when_it_is_called() -> None:
    assert callable(find_peer("transformers=/nowhere"))
