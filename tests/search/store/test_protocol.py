"""The contract of every store, tested with SQLite and with a store in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from imtext.errors import SearchError
from imtext.search.facts import Facts
from imtext.search.filters import Filters
from imtext.search.store import File, Picture, Store, create_store, open_store, rebuild_store, store_exists
from imtext.search.store.records import UNREAD, unread
from tests.search.store.conftest import DIM, vector

Add = Callable[..., None]


def test_created_once(location: str, add: Add) -> None:
    assert not store_exists(location)
    with pytest.raises(SearchError, match="There is no "):
        open_store(location)
    store = create_store(location, DIM)
    add(store, 3)
    assert store_exists(location)
    for again in (open_store(location), create_store(location, DIM), open_store(store.location)):
        assert (again.count(), again.embed_dim, again.location) == (3, DIM, store.location)


def test_empty(store: Store) -> None:
    neighbors = store.nearest(vector(0)[None], 5)
    assert neighbors.ids.shape == neighbors.scores.shape == (1, 0)
    assert (neighbors.size, neighbors.mean.tolist()) == (0, [0.0] * DIM)
    assert (store.size, store.count(), store.ids(), list(store.files()), store.sources()) == (0, 0, [], [], [])
    assert store.check() == 0


def test_nearest(store: Store, add: Add) -> None:
    add(store, 20)
    queries = np.stack([vector(3), vector(100)])
    neighbors = store.nearest(queries, 4)
    assert (neighbors.version, neighbors.size) == (store.version(), 20)
    scores = queries @ np.stack([vector(number) for number in range(20)]).T
    ids = np.array(store.ids())
    for row in range(2):
        order = np.argsort(-scores[row], kind="stable")[:4]
        assert neighbors.ids[row].tolist() == ids[order].tolist()
        np.testing.assert_allclose(neighbors.scores[row], scores[row][order], atol=1e-5)
    np.testing.assert_allclose(neighbors.mean @ queries[1], scores[1].mean(), atol=1e-5)
    assert store.nearest(queries, 100).ids.shape == (2, 20)


def test_equal_scores_keep_the_order_of_indexing(store: Store) -> None:
    for name in ("c", "a", "b"):
        store.commit([Picture(name.encode(), vector(0))], [File(f"/{name}", 1, 1, name.encode())])
    assert store.nearest(vector(0)[None], 3).ids[0].tolist() == store.ids()
    assert [files[0].path for files in (store.held([id])[id] for id in store.ids())] == ["/c", "/a", "/b"]


def test_vector_and_pages(store: Store, add: Add) -> None:
    add(store, 10)
    ids = store.ids()
    assert (len(ids), sorted(ids)) == (10, ids)
    assert (store.ids(2, 3), store.ids(8, 5), store.ids(10, 5)) == (ids[2:5], ids[8:], [])
    found = store.vector_of(ids[7])
    assert found is not None
    np.testing.assert_array_equal(found, vector(7))
    assert store.vector_of(max(ids) + 1) is None


def test_searches_see_the_last_refresh(store: Store, location: str, add: Add) -> None:
    add(store, 5)
    reader = open_store(location)
    assert reader.refresh()
    assert not reader.refresh()
    add(store, 2, first=5)
    store.commit(gone=["/pictures/000.jpg"])
    assert (reader.size, len(reader.ids()), reader.count()) == (5, 5, 6)
    assert reader.refresh()
    assert (reader.size, reader.nearest(vector(6)[None], 1).size) == (6, 6)
    assert reader.vector_of(1) is None, "removed"


def test_files_and_refusals(store: Store, add: Add) -> None:
    add(store, 2)
    store.commit(files=[File("/pictures/bad.jpg", 7, 7).refuse(" not a\n picture "), unread("/other/x.png", "")])
    files = {file.path: file for file in store.files()}
    assert list(files) == sorted(files)
    assert files["/pictures/001.jpg"] == File("/pictures/001.jpg", 1, 1, b"1")
    assert files["/pictures/bad.jpg"].reason == "not a picture"
    assert store.refused() == {"/other/x.png": "unreadable", "/pictures/bad.jpg": "not a picture"}
    store.commit(files=[File("/pictures/001.jpg", 1, 1, b"1", ctime_ns=5, inode=2**63 - 1)])
    assert File("/pictures/001.jpg", 1, 1, b"1", "", 5, 2**63 - 1) in store.files()
    assert (files["/other/x.png"].size, files["/other/x.png"].reason) == (UNREAD, "unreadable")
    assert [file.path for file in store.files("/other")] == ["/other/x.png"]
    assert (list(store.files("/oth")), store.count()) == ([], 2)


def test_paths_of_any_bytes(store: Store) -> None:
    for path in ("/new\nline", "/not utf-8 \udcff", "/50% ? 'x'", "/🐕"):
        store.commit(
            [Picture(path.encode("utf-8", "replace"), vector(1))], [File(path, 1, 1, path.encode("utf-8", "replace"))]
        )
        assert path in [file.path for file in store.files()]


def test_one_picture_with_several_files(store: Store) -> None:
    store.commit([Picture(b"a", vector(0))], [File(path, 1, 1, b"a") for path in ("/z", "/b", "/c")])
    (id,) = store.ids()
    assert [file.path for file in store.held([id, id, id + 1])[id]] == ["/b", "/c", "/z"]
    assert store.held([id + 1]) == {}
    found = store.find(b"a")
    assert found is not None
    assert (found[0], [file.path for file in found[1]]) == (id, ["/b", "/c", "/z"])
    assert (store.find(b"b"), store.known([b"a", b"b"]), store.count()) == (None, {b"a"}, 1)


def test_many_pictures_are_looked_up_at_once(store: Store, add: Add) -> None:
    add(store, 2500)
    assert len(store.held(store.ids())) == 2500


def test_a_picture_without_files_is_forgotten(store: Store) -> None:
    store.commit([Picture(b"a", vector(0))], [File("/a", 1, 1, b"a")])
    id = store.ids()[0]
    store.commit(files=[], gone=["/a"], sweep=False)
    store.refresh()
    assert (store.count(), store.size, store.known([b"a"])) == (0, 0, {b"a"})
    store.commit(files=[File("/b", 1, 1, b"a")])
    store.refresh()
    assert store.ids() == [id], "it was still there"
    store.commit(gone=["/b"])
    assert store.known([b"a"]) == set()
    store.commit([Picture(b"a", vector(0))], [File("/a", 1, 1, b"a")])
    store.refresh()
    assert store.ids() != [id], "an id is never used twice"


def test_grids_stay_and_go_with_their_pictures(store: Store, location: str, add: Add) -> None:
    add(store, 2)
    plain = store.ids()
    assert store.grids(plain) == {}
    grids = np.random.default_rng(0).normal(size=(1_100, 3, 4)).astype(np.float16)
    names = [b"grid %d" % number for number in range(len(grids))]
    pictures = [Picture(name, vector(9), grid) for name, grid in zip(names, grids, strict=True)]
    store.commit(pictures, [File(f"/{name.decode()}", 1, 1, name) for name in names])
    store.commit([Picture(names[0], vector(9), grids[1]), Picture(b"0", vector(0), grids[1])])
    store.refresh()
    ids = store.ids()
    for reader in (store, open_store(location)):
        found = reader.grids([*reversed(ids), ids[0]])
        assert sorted(found) == ids[2:], "known contents are not changed"
        assert all(grid.dtype == np.float16 for grid in found.values())
        np.testing.assert_array_equal(np.stack([found[id] for id in ids[2:]]), grids)
    store.commit(gone=["/grid 0"])
    assert sorted(store.grids(ids)) == ids[3:]
    with pytest.raises(RuntimeError):
        store.commit(_one_and_an_error(Picture(b"x", vector(0), grids[0])), [File("/x", 1, 1, b"x")])
    assert len(store.grids(list(range(10_000)))) == len(grids) - 1
    rebuild_store(location, DIM)
    assert open_store(location).grids(ids) == {}


def test_facts_stay_and_go_with_their_pictures(store: Store, location: str, add: Add) -> None:
    facts = Facts(4000, 3000, "2024-05-12T14:03:11+01:00", "Apple iPhone 12", 38.7223, -9.1393, b"h" * 16)
    add(store, 3)
    store.commit(facts={b"0": facts, b"1": Facts(2, 1, hash=b""), b"unknown": facts}, sweep=False)
    ids = store.ids()
    for reader in (store, open_store(location)):
        assert reader.facts([*ids, ids[0]]) == {ids[0]: facts, ids[1]: Facts(2, 1, hash=b"")}
        assert [file.content for file in reader.without_facts()] == [b"2"]
    version = store.version()
    store.commit(facts={b"2": Facts()})
    assert store.version() != version, "searches must see them"
    store.commit(facts={b"1": facts}, gone=["/pictures/000.jpg"])
    assert store.facts(ids) == {ids[1]: facts, ids[2]: Facts()}
    with pytest.raises(RuntimeError):
        store.commit(_one_and_an_error(Picture(b"x", vector(0))), facts={b"1": Facts()})
    assert store.facts(ids)[ids[1]] == facts


def _one_and_an_error(picture: Picture) -> Iterator[Picture]:
    yield picture
    raise RuntimeError


def test_commits_are_all_or_nothing(store: Store) -> None:
    def broken() -> list[File]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.commit((Picture(b"a", vector(0)) for _ in broken()), [File("/a", 1, 1, b"a")])
    assert (store.count(), list(store.files()), store.known([b"a"])) == (0, [], set())


def test_versions(store: Store, add: Add) -> None:
    seen = {store.version()}
    changes: list[Callable[[], None]] = [
        lambda: add(store, 1),
        lambda: store.commit(files=[File("/pictures/000.jpg", 2, 2, b"0")]),
        lambda: store.commit(gone=["/pictures/000.jpg"]),
    ]
    for change in changes:
        change()
        assert store.version() not in seen
        seen.add(store.version())
        store.commit()
        assert store.version() in seen, "nothing changed"


def test_sources(store: Store) -> None:
    store.remember(["/b", "/a"])
    store.remember(["/a", "/c"], forget=["/b"])
    assert store.sources() == ["/a", "/c"]


def test_rebuilt(location: str, add: Add) -> None:
    store = create_store(location, DIM)
    add(store, 3)
    store.remember(["/pictures"])
    store.refresh()
    assert not store.replaced()
    rebuild_store(location, 4)
    assert store.replaced()
    assert store.nearest(vector(0)[None], 5).size == 3, "it keeps what it had"
    fresh = open_store(location)
    assert (fresh.embed_dim, fresh.count(), fresh.size, fresh.sources()) == (4, 0, 0, ["/pictures"])
    assert [file.size for file in fresh.files()] == [UNREAD] * 3, "the names are kept"
    assert not fresh.replaced()


def test_check(store: Store, add: Add) -> None:
    add(store, 3)
    assert store.check() == 3
    store.commit([Picture(b"long", 2 * vector(0))], [File("/long", 1, 1, b"long")])
    store.refresh()
    with pytest.raises(SearchError, match="not of unit length"):
        store.check()


def test_read_and_searched_by_many_threads(store: Store, location: str, add: Add) -> None:
    add(store, 50)
    reader, failed = open_store(location), []

    def work() -> None:
        try:
            for _ in range(20):
                reader.refresh()
                neighbors = reader.nearest(vector(1)[None], 3)
                assert len(reader.held(neighbors.ids[0].tolist())) == 3
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(10):
        add(store, 1, first=100 + number)
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.fixture
def described(store: Store, add: Add) -> Store:
    """Four pictures: a title, a caption, keywords, and one of which nothing is known but its name."""
    store.remember(["/pictures"])
    add(store, 4)
    store.commit(
        facts={
            b"0": Facts(title="Sunset over Porto"),
            b"1": Facts(caption="A café in Porto, seen from the bridge"),
            b"2": Facts(keywords="Anna, bridge, café"),
            b"3": Facts(),
        }
    )
    return store


def found(store: Store, *words: str, filters: Filters | None = None) -> dict[str, tuple[float, tuple[str, ...]]]:
    """Name of a file → share of the words, and where they stand; best first."""
    matches = store.find_words(words, 10, filters)
    return {store.held([one.id])[one.id][0].path: (one.share, one.where) for one in matches}


def test_words_and_where_they_stand(described: Store) -> None:
    assert found(described, "PORTO") == {
        "/pictures/000.jpg": (1.0, ("title",)), "/pictures/001.jpg": (1.0, ("caption",)),
    }  # fmt: skip
    bridge = found(described, "cafe", "bridge", "anna", "elsewhere")
    assert bridge == {"/pictures/002.jpg": (0.75, ("keywords",)), "/pictures/001.jpg": (0.5, ("caption",))}
    assert list(bridge) == ["/pictures/002.jpg", "/pictures/001.jpg"], "most words first"
    assert found(described, "003") == {"/pictures/003.jpg": (1.0, ("file name",))}
    assert found(described) == found(described, "jpg") == found(described, "pictures") == {}


@pytest.mark.parametrize(
    "word", ['"', "*", "port*", "NEAR", "-porto", "title:porto", "^sunset", "a\0b", "'; DROP", "("]
)
def test_no_word_is_part_of_a_query_language(described: Store, word: str) -> None:
    assert list(found(described, word)) in ([], ["/pictures/000.jpg", "/pictures/001.jpg"], ["/pictures/000.jpg"])
    assert "/pictures/002.jpg" in found(described, word, "Anna")


def test_words_follow_the_files(described: Store) -> None:
    described.commit(files=[File("/pictures/Lisbon/tram.jpg", 1, 1, b"3")], gone=["/pictures/003.jpg"])
    assert found(described, "003") == {}
    assert found(described, "lisbon", "tram") == {"/pictures/Lisbon/tram.jpg": (1.0, ("file name", "folder"))}
    described.commit(files=[File("/pictures/copy.jpg", 1, 1, b"3")])
    assert found(described, "tram", "copy") == {"/pictures/Lisbon/tram.jpg": (1.0, ("file name",))}
    described.commit(files=[File("/pictures/copy.jpg", 1, 2, b"0")])  # other content in the same place
    assert found(described, "copy") == {"/pictures/000.jpg": (1.0, ("file name",))}
    described.commit(gone=["/pictures/000.jpg", "/pictures/copy.jpg"])
    assert (found(described, "sunset"), found(described, "copy")) == ({}, {})
    described.remember(["/pictures/Lisbon"], forget=["/pictures"])
    assert found(described, "lisbon") == {}, "the folder that is indexed says nothing of one picture"


def test_words_of_pictures_that_pass(described: Store) -> None:
    described.commit(facts={b"1": Facts(width=30, caption="Porto")})
    assert list(found(described, "porto", filters=Filters(min_width=20))) == ["/pictures/001.jpg"]
    assert described.find_words(["porto"], 1) == described.find_words(["porto"], 10)[:1]


def test_text_in_pictures(described: Store) -> None:
    version = described.version()
    assert [file.path for file in described.without_text()] == [f"/pictures/00{number}.jpg" for number in range(4)]
    described.commit(texts={b"0": "", b"1": "BAKERY"})
    assert found(described, "bakery", "cafe") == {
        "/pictures/001.jpg": (1.0, ("caption", "text in the picture")), "/pictures/002.jpg": (0.5, ("keywords",)),
    }  # fmt: skip
    assert [file.path for file in described.without_text()] == ["/pictures/002.jpg", "/pictures/003.jpg"]
    described.commit(facts={b"1": Facts(title="again")})
    assert list(found(described, "bakery", "again")) == ["/pictures/001.jpg"], "a new description keeps the text"
    described.commit(texts={b"3": "late"})
    assert described.version() != version, "facts make a new version"


def test_closed_stores_leave_nothing_open(store: Store) -> None:
    store.tidy()
    store.close()
