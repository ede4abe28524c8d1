"""The engine that `imtext index` embeds with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from imtext.errors import SearchError

if TYPE_CHECKING:
    from imtext.search import Bundle
    from imtext.search.index.embedding import Embedder


@contextmanager
def engine_of(engine: Literal["local", "ray"], address: str | None) -> Iterator[Callable[[Bundle], Embedder | None]]:
    """Connect to a cluster if one is wanted; yields a function from the bundle of an index to what embeds with it.

    Raises:
        MissingExtraError: Ray is not installed.
        SearchError: there is no such cluster, or an address without an engine that has one.
    """
    if engine == "local":
        if address is not None:
            raise SearchError("--address belongs to --engine ray")
        yield lambda bundle: None
        return
    from imtext.search.index.cluster import RayEmbedder, connected

    with connected(address) as described:
        print(described, file=sys.stderr, flush=True)
        yield RayEmbedder
