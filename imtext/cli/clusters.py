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


Engine = Literal["local", "ray"]


def require_local(engine: Engine) -> None:
    """Refuse to watch with a cluster, which would be held between changes."""
    if engine == "ray":
        raise SearchError("--watch embeds with this machine alone: run imtext index --engine ray again, as by cron")


@contextmanager
def engine_of(engine: Engine, address: str | None) -> Iterator[Callable[[Bundle], Embedder | None]]:
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
