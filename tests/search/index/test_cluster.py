"""A cluster gives the same index as one process, also if one of its two machines is killed."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

if "ray" not in sys.modules:  # which reads all this when it is imported
    # Others on the network must not get in.
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex()}
    # Below `uv run`, workers would each make a new environment from a copy of this checkout.
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"

import ray
import ray.data
from ray.cluster_utils import Cluster

from imtext.errors import MissingExtraError, SearchError
from imtext.search import Bundle, Encoder, Index, parse_query
from imtext.search.index import cluster
from imtext.search.index.cluster import RayEmbedder, connected
from imtext.search.index.embedding import Embedded
from imtext.search.store.records import File, unread
from tests.conftest import picture
from tests.object_store import object_store

# A killed machine refuses connections and is noticed after seconds; a slow one has a minute to answer.
NOTICE = {"health_check_period_ms": 1_000, "health_check_timeout_ms": 60_000, "health_check_failure_threshold": 3}
PICTURES = 400


@pytest.fixture(scope="module")
def machines() -> Iterator[Cluster]:
    """A cluster of two machines with a worker each, which are processes on this one, and an empty bucket `photos`."""
    with pytest.MonkeyPatch.context() as patch, object_store("photos"):
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_agent_register_timeout_ms", "600000")  # on a busy machine
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        size: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100_000_000}
        started = Cluster(
            initialize_head=True, head_node_args={**size, "include_dashboard": False, "_system_config": NOTICE}
        )
        started.add_node(**size)
        yield started
        started.shutdown()


@pytest.mark.slow
def test_a_killed_machine_loses_nothing(
    machines: Cluster, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "BATCH", 4)  # so that there are many chunks
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(PICTURES):
        picture(photos / f"{number:04}.png", number)
    (photos / "0100 copy.png").write_bytes((photos / "0100.png").read_bytes())
    (photos / "broken.jpg").write_text("nothing")
    alone = Index.create(tmp_path / "alone", bundle)
    expected = alone.update([str(photos)])
    killed: list[int] = []

    def kill(done: int, total: int, path: str) -> None:
        if done == PICTURES // 4:
            for running in next(iter(machines.worker_nodes)).all_processes.values():
                killed.extend(one.process.pid for one in running)
                for one in running:
                    one.process.kill()

    together = Index.create(tmp_path / "together", bundle)
    with connected(machines.address) as described:
        assert described == "Ray: 2 nodes, 2 workers"
        report = together.update([str(photos)], kill, embedder=RayEmbedder(together.bundle))
        assert killed
        assert sum(node["Alive"] for node in ray.nodes()) == 1
        counts = ("added", "copies", "refused", "removed")
        assert [getattr(report, name) for name in counts] == [getattr(expected, name) for name in counts]
        require_equal(alone, together)
        # With the machine that is left: what is known is not embedded again, and what is new is.
        (photos / "0007.png").rename(photos / "renamed.png")
        shutil.copy(photos / "0008.png", photos / "copy.png")
        picture(photos / "new.png", PICTURES)
        report = together.update(embedder=RayEmbedder(together.bundle))
        assert (report.added, len(report.renamed), report.copies) == (1, 1, 1)
    alone.update()
    require_equal(alone, together)


@pytest.mark.slow
def test_object_stores_and_shards(machines: Cluster, bundle: Bundle, tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{number}.png", number) for number in range(9)]
    for path in paths[:3]:
        fsspec.filesystem("s3").put_file(str(path), f"photos/{path.name}")
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for path in paths[3:6]:
            archive.add(path, path.name)
    parquet.write_table(pa.table({"image": [path.read_bytes() for path in paths[6:]]}), tmp_path / "photos.parquet")
    sources = ["s3://photos", str(tmp_path / "photos.tar"), str(tmp_path / "photos.parquet")]
    alone, together = Index.create(tmp_path / "alone", bundle), Index.create(tmp_path / "together", bundle)
    assert alone.update(sources).added == len(paths)
    with connected(machines.address):
        assert together.update(sources, embedder=RayEmbedder(together.bundle)).added == len(paths)
    require_equal(alone, together)


def require_equal(alone: Index, together: Index) -> None:
    """The same files, ids, facts, vectors and results."""
    ids = alone.store.ids()
    assert {file.path: file for file in alone.store.files()} == {file.path: file for file in together.store.files()}
    assert together.store.ids() == ids
    assert together.store.held(ids) == alone.store.held(ids)
    assert together.store.facts(ids) == alone.store.facts(ids)
    for number in ids:
        vector, other_vector = alone.store.vector_of(number), together.store.vector_of(number)
        assert vector is not None
        assert other_vector is not None
        np.testing.assert_allclose(vector, other_vector, atol=1e-6)
    queries = [parse_query(text) for text in ("a red circle", "two big blue stars", "green", "a square on the left")]
    results = [index.search_batch(queries, 50, None) for index in (alone, together)]
    for one, other in zip(*results, strict=True):
        assert [result.score for result in one] == pytest.approx([result.score for result in other], abs=1e-5)
        assert {result.path for result in one[:40]} <= {result.path for result in other}  # nearly equal scores may swap


def test_equal_contents_have_one_vector() -> None:
    item = Embedded(File("a.png", 1, 1, b"content"), np.ones(2, dtype=np.float32))
    given_out: set[bytes] = set()
    assert cluster._once(item, given_out) is item
    assert cluster._once(item, given_out) == Embedded(item.file)


def test_machines_that_do_not_share_a_disk(tmp_path: Path) -> None:
    here, gone = tmp_path / "a.png", tmp_path / "b.png"
    here.touch()
    cluster._require_shared(unread(str(gone), "No such file or directory"), "node-2")
    cluster._require_shared(unread(str(here), "Permission denied"), "node-2")
    with pytest.raises(SearchError, match=f"node-2 does not have {here}, which is on this machine. Share the folder"):
        cluster._require_shared(unread(str(here), "No such file or directory"), "node-2")
    shard = tmp_path / "photos.tar"
    shard.touch()
    with pytest.raises(SearchError, match=f"node-2 does not have {shard}, which is on this machine"):
        cluster._require_shared(unread(f"{shard}/a.png", "No such file or directory"), "node-2")


def test_errors_of_workers() -> None:
    own = SearchError("another version")
    wrapped = ray.exceptions.RayTaskError("f", "traceback", own)
    assert cluster._own(wrapped) is own
    other = ray.exceptions.RayTaskError("f", "traceback", ValueError("a bug"))
    assert cluster._own(other) is other


def test_workers_that_die_again_and_again(encoder: Encoder, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was received is kept; three times without a result are an error."""
    files = [File(f"{number}.png", 1, 1, bytes([number])) for number in range(5)]
    asked: list[int] = []

    def die(rest: list[File], job: object) -> Iterator[Embedded]:
        asked.append(len(rest))
        if len(rest) > 2:
            yield Embedded(rest[0])
        raise ray.exceptions.WorkerCrashedError

    monkeypatch.setattr(cluster, "_stream", die)
    monkeypatch.setattr(ray, "put", lambda value: value)
    embedding = RayEmbedder(bundle).embed(files, Nothing(), grids=False)  # type: ignore[arg-type]
    assert [next(embedding).file for _ in range(3)] == files[:3]
    with pytest.raises(SearchError, match=r"Workers die while they read 3\.png or one of the 32 files after it"):
        next(embedding)
    assert asked == [5, 4, 3, 2, 2]


class Nothing:
    """A store without files."""

    def files(self) -> list[File]:
        return []


def test_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for address, reason in (
        ("ray://head:10001", "run imtext on a machine of the cluster, with --address auto"),
        ("127.0.0.1:1", r"Nothing answers at 127\.0\.0\.1:1: .* Start one on this machine: ray start --head"),
        ("nonsense", "Nothing answers at nonsense"),
    ):
        with pytest.raises(SearchError, match=reason), connected(address):
            pass
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r'pip install "imtext\[ray\]"'), connected():
        pass
