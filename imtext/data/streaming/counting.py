"""The number of samples in shards, without reading them."""

from __future__ import annotations

import json
import logging
import re
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.progress import track

from imtext.data.captions import fingerprint
from imtext.data.rows import only_writer
from imtext.data.streaming.samples import PICTURES
from imtext.data.streaming.shards import SUFFIXES, file_system, is_remote, mark
from imtext.errors import ConfigError

log = logging.getLogger(__name__)
MOST = 20e9  # bytes of shards whose headers are read


def count_samples(shards: Sequence[str], cache_dir: Path) -> int:
    """The number of samples of all shards.

    img2dataset writes it beside each shard (``00000_stats.json``). If such a file is missing, the headers of the shards
    are read, once; the count is kept in the cache.

    Args:
        shards: paths or addresses.
        cache_dir: folder of the count.

    Raises:
        ConfigError: counting would take long: the shards are remote, compressed or large.
    """
    found = _from_stats(shards)
    if found is not None:
        return found
    slow = [shard for shard in shards if is_remote(shard) or not shard.endswith(".tar")]
    size = sum(Path(shard).stat().st_size for shard in shards) if not slow else 0
    if slow or size > MOST:
        why = f"{slow[0]} is remote or compressed" if slow else f"they have {size / 1e9:.0f} GB"
        raise ConfigError(
            f"The samples of {len(shards):,} shards are not counted, because {why}, and not every shard has a file "
            "…_stats.json beside it. Give the length of an epoch, for example data.samples_per_epoch=100000"
        )
    path = cache_dir / f"count-{fingerprint([mark(shard) for shard in shards])}.json"
    with only_writer(path) as missing:
        if missing:
            counted = track(shards, description=f"Counting {len(shards):,} shards", transient=True)
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(sum(map(count_headers, counted))))
            partial.replace(path)
    return int(json.loads(path.read_text()))


def count_headers(shard: str) -> int:
    """Number of pictures in a shard on disk; those before its end if it ends too early."""
    count = 0
    try:
        with tarfile.open(shard, "r:") as file:
            for member in file:
                count += member.isreg() and member.name.lower().rpartition(".")[2] in PICTURES
                file.members = []  # type: ignore[attr-defined] # or all of them would stay in memory
    except (tarfile.TarError, OSError):  # it is reported when it is read
        log.debug("Counted to %d in %s", count, shard, exc_info=True)
    return count


def _from_stats(shards: Sequence[str]) -> int | None:
    """The sum of the counts beside the shards; None if one is missing."""
    if not all(shard.endswith(SUFFIXES) for shard in shards):
        return None
    names = [re.sub(r"\.tar(\.gz)?$|\.tgz$", "_stats.json", shard) for shard in shards]
    remote = [name for name in names if is_remote(name)]
    texts = [_read(Path(name)) for name in names if not is_remote(name)]
    if None in texts:
        return None
    try:
        return sum(int(json.loads(text or "")["successes"]) for text in [*texts, *_fetch(remote)])
    except (ValueError, KeyError, TypeError):
        return None


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _fetch(addresses: Sequence[str]) -> Iterable[str | None]:
    """The content of small remote files, many at a time."""
    if not addresses:
        return []
    system, _ = file_system(addresses[0])
    paths = [file_system(address)[1] for address in addresses]
    try:
        content = system.cat(paths, on_error="omit")
    except Exception:  # every file system has errors of its own
        log.debug("No counts", exc_info=True)
        content = {}
    if isinstance(content, bytes):
        content = {paths[0]: content}
    return [content[path].decode("utf-8", "replace") if path in content else None for path in paths]
