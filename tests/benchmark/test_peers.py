"""The loops of other libraries, on tiny models in their layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.benchmark.peers import find_peer
from imtext.errors import ConfigError
from tests.conftest import picture
from tests.models.clip.folders import WRITERS


@pytest.mark.parametrize("described", ["open_clip", "tensorflow=x", "open_clip="])
def test_an_unknown_library_is_a_message(described: str) -> None:
    with pytest.raises(ConfigError, match=r"open_clip=<model> or transformers=<model>"):
        find_peer(described)


@pytest.mark.parametrize(
    ("library", "kind", "prefix"), [("open_clip", "open_clip", "local-dir:"), ("transformers", "clip", "")]
)
def test_pictures_and_texts_are_embedded(library: str, kind: str, prefix: str, tmp_path: Path) -> None:
    folder = WRITERS[kind](tmp_path / kind)
    peer = find_peer(f"{library}={prefix}{folder}")()
    assert peer.name == f"{library} {kind}"
    peer.prepare()
    peer.embed_files([picture(tmp_path / f"{number}.png", number) for number in range(3)])
    peer.answer("the red circle")
