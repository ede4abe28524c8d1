"""Embed on a cluster of Ray: workers embed, and this process remains the only one that writes to the index.

Ray Data streams chunks of files to stateless tasks, not to actors: when a machine is lost, Ray gives its tasks to the
others at once, while the tasks of a lost actor wait until it can start again, which may be never. A worker process
keeps its model from task to task.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import socket
import sys
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import imtext
from imtext.errors import ImtextError, SearchError, needs
from imtext.search.encoder import BATCH
from imtext.search.files.shards import split
from imtext.search.index.embedding import Embedded
from imtext.search.index.worker import Job, embed_chunk, pack_bundle, pack_contents
from imtext.search.store.protocol import Store
from imtext.search.store.records import UNREAD, File

if TYPE_CHECKING:
    from imtext.search.bundle import Bundle

LOCAL = "local"  # a cluster of this machine alone, for this process
SEGMENT = 50_000  # files that are handed to Ray at once, so that its memory does not grow with the collection
TRIES = 3  # of a chunk whose workers die, and of a stream that breaks off without a result
START = "Start one on this machine: ray start --head --port 6379; see docs/cluster.md for tokens"
OBJECT_STORE = 500_000_000  # bytes of shared memory of a cluster of this machine alone


class RayEmbedder:
    """Embeds with the workers of the cluster that this process is connected to. See `connected`.

    Args:
        bundle: bundle of the index.
    """

    def __init__(self, bundle: Bundle) -> None:
        import ray

        self._bundle = bundle
        self._packed = ray.put(pack_bundle(bundle))

    def embed(self, files: Sequence[File], store: Store, grids: bool) -> Generator[Embedded, None, None]:
        """See `Embedder.embed`. Files that come from lost workers are embedded again by others.

        Raises:
            SearchError: workers cannot read the files, have another version of imtext, or die again and again.
        """
        import ray

        if not files:
            return
        contents = [file.content for file in store.files() if file.content]
        held = pack_contents(sorted(store.known(contents)) if contents else [])
        job = Job(imtext.__version__, self._bundle.fingerprint, self._packed, ray.put(held), grids)
        given_out: set[bytes] = set()
        done, failures = 0, 0
        while done < len(files):
            try:
                for item in _stream(files[done : done + SEGMENT], job):
                    done, failures = done + 1, 0
                    yield _once(item, given_out)
            except ray.exceptions.RayTaskError as error:
                raise _own(error) from error
            except ray.exceptions.RayError as error:  # lost machines and processes, beyond what Ray itself repeats
                failures += 1
                if failures == TRIES:
                    raise SearchError(
                        f"Workers die while they read {files[done].path} or one of the {BATCH} files after it: "
                        f"{_first_line(error)}. Leave it out with --exclude, or give the workers more memory"
                    ) from error


def _stream(files: Sequence[File], job: Job) -> Iterator[Embedded]:
    """Files → embedded files in the same order."""
    import ray

    chunks = [{"files": tuple(files[start : start + BATCH])} for start in range(0, len(files), BATCH)]
    dataset = ray.data.from_items(chunks, override_num_blocks=len(chunks)).map_batches(
        _embed_batch, batch_size=None, num_cpus=job.threads, max_retries=TRIES, fn_kwargs={"job": job}
    )
    for batch in dataset.iter_batches(batch_size=None):
        for done in batch["done"]:
            for item in done.files:
                _require_shared(item.file, done.node)
                yield item


def _embed_batch(batch: dict[str, Any], job: Job) -> dict[str, Any]:
    """Runs on a worker."""
    import ray

    done = np.empty(len(batch["files"]), dtype=object)
    done[:] = [embed_chunk(files, job, ray.get) for files in batch["files"]]
    return {"done": done}


def _require_shared(file: File, node: str) -> None:
    """A file that is here and not there says that the machines do not share their disks."""
    here = (split(file.path) or (file.path,))[0]  # a shard, for a picture in one
    if file.size == UNREAD and file.reason == os.strerror(errno.ENOENT) and os.path.exists(here):
        raise SearchError(
            f"{node} does not have {here}, which is on this machine. Share the folder with all machines of the "
            "cluster at the same path, or index an object store"
        )


def _once(item: Embedded, given_out: set[bytes]) -> Embedded:
    """Remove the vector if the same content was given out before."""
    if item.vector is None or item.file.content in given_out:
        return Embedded(item.file)
    given_out.add(item.file.content)
    return item


def _own(error: BaseException) -> BaseException:
    """The error of imtext that a worker raised, if it is one."""
    cause: BaseException | None = error
    while cause is not None and type(cause).__module__ != ImtextError.__module__:
        cause = getattr(cause, "cause", None) or cause.__cause__
    return error if cause is None else cause


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


@contextmanager
def connected(address: str | None = None) -> Iterator[str]:
    """Connect this process to a cluster, for as long as the block takes; yields what the cluster consists of.

    Args:
        address: ``HOST:PORT`` of a cluster that has a node on this machine, or ``auto``; None: `RAY_ADDRESS`, else a
            cluster of this machine's cores that ends with the block.

    Raises:
        MissingExtraError: Ray is not installed.
        SearchError: there is no such cluster.
    """
    address = address or os.environ.get("RAY_ADDRESS") or LOCAL
    _require_reachable(address)
    _set_up(address)
    with needs("ray"):
        import ray
        import ray.data
    own = {"include_dashboard": False, "object_store_memory": OBJECT_STORE} if address == LOCAL else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise SearchError(
            f"There is no cluster of Ray at {address} that lets us in: {_first_line(error)}. {START}"
        ) from error
    try:
        _quiet(ray)
        nodes = sum(node["Alive"] for node in ray.nodes())
        yield f"Ray: {nodes} {'node' if nodes == 1 else 'nodes'}, {int(ray.cluster_resources().get('CPU', 0))} workers"
    finally:
        ray.shutdown()


def _require_reachable(address: str) -> None:
    """Look whether anything listens at an address; Ray itself would try for minutes."""
    if address.startswith("ray://"):
        raise SearchError(
            f"{address}: the index is written by this process, so run imtext on a machine of the cluster, with "
            "--address auto"
        )
    if address in (LOCAL, "auto"):
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError, OverflowError) as error:
        raise SearchError(f"Nothing answers at {address}: {error}. {START}") from error


def _set_up(address: str) -> None:
    """Settings that Ray reads when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports to nobody
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"  # and does not upload the folder of a checkout
    if "RAY_AUTH_MODE" in os.environ or "ray" in sys.modules:
        return
    if address == LOCAL:  # a secret of this run, instead of a file in the user's home folder
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex()}
    elif (Path.home() / ".ray" / "auth_token").is_file():  # Ray itself looks for it only with the address `auto`
        os.environ["RAY_AUTH_MODE"] = "token"


def _quiet(ray: Any) -> None:
    """Results in order, and no progress bars but ours."""
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    # `max_retries` has no other place yet. Without it, a picture that kills its worker would be tried for ever.
    warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
