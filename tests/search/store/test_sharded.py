"""Several stores searched as one find what one store finds, to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from imtext.errors import SearchError
from imtext.search.facts import Facts
from imtext.search.filters import NO_FILTERS, Filters
from imtext.search.store import File, Picture, Store, create_store, open_store, store_exists
from tests.search.store.conftest import DIM, vector
from tests.search.store.memory import MemoryStore

COUNT = 301


def fill(store: Store, numbers: Sequence[int]) -> None:
    store.remember(["/p"])
    store.commit(
        [Picture(b"%d" % number, vector(number % 150)) for number in numbers],  # every vector twice
        [File(f"/p/{number % 4}/tram {number:03}.jpg", 1, number % 10, b"%d" % number) for number in numbers],
        facts={
            b"%d" % number: Facts(width=number, height=100, title="porto" * (number % 3 == 0)) for number in numbers
        },
    )


@pytest.fixture(params=["lance", "mixed"])
def stores(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, Store]:
    """One store with all pictures, and three that have taken them in turn."""
    monkeypatch.setattr(MemoryStore, "model", "one")
    urls = []
    for place in range(3):
        kind = request.param if request.param != "mixed" else ("lance", "memory", "memory")[place]
        urls.append(f"{kind}:///{tmp_path}/shard{place}")
        fill(create_store(urls[-1], DIM, "one"), range(place, COUNT, 3))
    one = create_store(tmp_path / "one", DIM)
    fill(one, range(COUNT))
    url = f"shards://{','.join(urls)}"
    assert store_exists(url)
    return one, open_store(url)


def paths(store: Store, ids: Sequence[int]) -> list[str]:
    held = store.held(ids)
    return [held[id][0].path for id in ids]


@pytest.mark.parametrize("filters", [NO_FILTERS, Filters(folder="p/2"), Filters(min_width=290)])
def test_equal_to_one_store(stores: tuple[Store, Store], filters: Filters) -> None:
    one, shards = stores
    queries = np.stack([vector(number) for number in range(20)])
    for top_k in (1, 10, 500):
        expected, found = (store.nearest(queries, top_k, filters or None) for store in stores)
        np.testing.assert_array_equal(expected.scores, found.scores)
        assert expected.size == found.size == COUNT
        for row in range(len(queries)):
            assert paths(one, expected.ids[row].tolist()) == paths(shards, found.ids[row].tolist())
        np.testing.assert_allclose(expected.mean, found.mean, atol=1e-6)
    assert paths(one, one.by_date(filters).ids.tolist()) == paths(shards, shards.by_date(filters).ids.tolist())
    words = [store.find_words(["porto", "tram"], 1_000, filters or None) for store in stores]
    assert [match.share for match in words[0]] == [match.share for match in words[1]]
    assert {*paths(one, [match.id for match in words[0]])} == {*paths(shards, [match.id for match in words[1]])}


def test_rows(stores: tuple[Store, Store]) -> None:
    one, shards = stores
    assert list(shards.files()) == list(one.files())
    assert (shards.count(), shards.size, shards.sources(), shards.check()) == (COUNT, COUNT, ["/p"], COUNT)
    assert paths(shards, shards.ids(5, 20)) == paths(one, one.ids(5, 20))
    id, files = shards.find(b"100") or (0, [])
    assert (files[0].path, shards.facts([id])[id].width) == ("/p/0/tram 100.jpg", 100)
    assert shards.vector_of(id).tolist() == vector(100).tolist()  # type: ignore[union-attr]
    assert (shards.find(b"x"), shards.known([b"1", b"x"]), shards.grids([id])) == (None, {b"1"}, {})
    assert (shards.refused(), len(shards.without_text()), len(shards.without_facts())) == ({}, COUNT, COUNT)
    assert shards.refresh() in (True, False)
    assert (shards.refresh(), shards.replaced()) == (False, False)
    shards.close()


def test_new_commits_are_seen(stores: tuple[Store, Store]) -> None:
    _, shards = stores
    shards.refresh()
    version = shards.version()
    part = shards.shards[1]  # type: ignore[attr-defined]
    part.commit(gone=[next(part.files()).path])
    assert shards.version() != version
    assert shards.refresh()
    assert shards.size == COUNT - 1


def test_only_for_searching(stores: tuple[Store, Store]) -> None:
    _, shards = stores
    with pytest.raises(SearchError, match=r"only for searching\. Index into its stores"):
        shards.commit(gone=["/p"])
    with pytest.raises(SearchError, match="only for searching"):
        create_store(shards.location, DIM)
    with pytest.raises(SearchError, match=r"names no stores: write shards://URL,URL"):
        open_store("shards://")


def test_of_different_models(tmp_path: Path) -> None:
    for name in ("one", "two"):
        create_store(f"lance://{tmp_path}/{name}", DIM, name)
    with pytest.raises(SearchError, match=r"made by different models: \[\('one', 8\), \('two', 8\)\]"):
        open_store(f"shards://lance://{tmp_path}/one,lance://{tmp_path}/two")


def test_a_shard_records_its_model(tmp_path: Path) -> None:
    create_store(f"lance://{tmp_path}/one", DIM, "one")
    create_store(f"sqlite:///{tmp_path}/two", DIM, "one")
    with pytest.raises(SearchError, match=r"two does not record its model: shards are stores of Lance"):
        open_store(f"shards://lance://{tmp_path}/one,sqlite:///{tmp_path}/two")
