"""Near duplicates are grouped, and fold into the best result; nothing else does."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imtext.errors import SearchError
from imtext.search import Index, parse_query
from imtext.search.facts import Facts
from imtext.search.index import answer
from imtext.search.index.duplicates import find_duplicates, group
from imtext.search.query import picture_query
from imtext.search.results import SearchResult
from imtext.search.store import File, Picture, Store, create_store
from tests.search.photos import scene


@pytest.fixture
def album(index: Index, tmp_path: Path) -> Path:
    """Eight scenes, and copies: small, saved, cropped and equal ones of the first, a small one of the second."""
    folder = tmp_path / "album"
    folder.mkdir()
    for number in range(8):
        scene(number).save(folder / f"{number}.png")
    scene(0).resize((160, 120)).save(folder / "0 small.png")
    scene(0).save(folder / "0 saved.jpg", quality=50)
    scene(0).crop((5, 4, 320, 240)).save(folder / "0 cropped.png")
    shutil.copy(folder / "0.png", folder / "0 equal.png")
    scene(1).resize((160, 120)).save(folder / "1 small.jpg")
    index.update([str(folder)])
    return folder


def names(results: list[SearchResult]) -> list[str]:
    return [Path(result.path).name for result in results]


def test_copies_fold_into_the_best_result(index: Index, album: Path) -> None:
    terms = parse_query("red")
    plain, folded = index.search(terms, 20, fold=False), index.search(terms, 20)
    assert (len(plain), len(folded)) == (12, 8)
    seen: set[str] = set()
    best = []
    for result in plain:
        number = Path(result.path).name[0]
        if number not in seen:
            best.append(result)
        seen.add(number)
    assert [replace(one, near_duplicates=0) for one in folded] == best, "scores, relevance and order are as before"
    assert all(one.near_duplicates == {"0": 3, "1": 1}.get(Path(one.path).name[0], 0) for one in folded)
    assert not any(one.near_duplicates for one in plain)
    for top_k in range(1, 9):
        assert index.search(terms, top_k) == folded[:top_k], "as many different results as asked for"


def test_a_picture_finds_itself_and_its_copies_fold(index: Index, album: Path) -> None:
    best = index.search(parse_query(str(album / "0 small.png")), 20, fold=False)[0]
    first, *others = index.search(parse_query(str(album / "0 small.png")), 20)
    assert (first.path, first.near_duplicates) == (best.path, 3)
    assert not [name for name in names(others) if name[0] == "0"]


def test_looks_deeper_if_too_many_fold(index: Index, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "SPARE", 0)
    query = picture_query(index.encoder.encode_images([index.bundle.preprocess.pixels(scene(0))])[0])
    (found,) = index.search_queries([query], 2)
    assert [name[0] for name in names(found)][:1] == ["0"]
    assert len(found) == 2
    together = index.search_queries([query, query], 2)
    assert [names(one) for one in together] == [names(found)] * 2
    monkeypatch.setattr(answer, "DEEPEST", 4)
    assert index.search_queries([query], 8)[0]


def test_groups(index: Index, album: Path) -> None:
    first, second = index.duplicates()
    assert [Path(one.path).name for one in first] == ["0 equal.png", "0 saved.jpg", "0 cropped.png", "0 small.png"]
    assert [Path(path).name for path in first[0].copies] == ["0.png"]
    assert (first[0].width, first[0].height, first[0].bytes) == (320, 240, (album / "0.png").stat().st_size)
    assert [Path(one.path).name for one in second] == ["1.png", "1 small.jpg"]
    assert index.duplicates_of(first[0].id) == list(first[1:])
    assert index.duplicates_of(first[-1].id) == list(first[:-1])
    (alone,) = (one for one in index.search(parse_query("red"), 20) if Path(one.path).name == "7.png")
    assert index.duplicates_of(alone.id) == []
    with pytest.raises(SearchError, match="There is no picture 00"):
        index.duplicates_of("00" * 16)


def digest(*flipped: int) -> bytes:
    """A hash of 128 bits in which these are set."""
    bits = np.zeros(128, dtype=bool)
    bits[list(flipped)] = True
    return np.packbits(bits).tobytes()


def stored(tmp_path: Path, *hashes: bytes | None, vectors: np.ndarray | None = None) -> Store:
    """A store of pictures with these hashes, all of the same vector unless others are given."""
    vectors = np.tile(np.eye(2, dtype=np.float32)[0], (len(hashes), 1)) if vectors is None else vectors
    store = create_store(f"memory://{tmp_path}", 2)
    contents = [b"%d" % number for number in range(len(hashes))]
    store.commit(
        [Picture(content, vector) for content, vector in zip(contents, vectors, strict=True)],
        [File(f"/{number}.jpg", 9 - number, 1, content) for number, content in enumerate(contents)],
        facts={content: Facts(2, 2, hash=one) for content, one in zip(contents, hashes, strict=True)},
    )
    return store


def test_the_first_leads(tmp_path: Path) -> None:
    """The second is near the first and the third; the third is not near the first."""
    store = stored(tmp_path, digest(), digest(*range(20)), digest(*range(40)), digest(*range(22)), digest(*range(23)))
    ids = store.ids()
    assert group(store, ids, store.facts(ids)) == [[0, 1, 3], [2, 4]]
    assert group(store, ids[::-1], store.facts(ids)) == [[0, 1, 2, 3], [4]]


def test_no_hash_and_other_embeddings_do_not_fold(tmp_path: Path) -> None:
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [1, 0], [1, 0]], dtype=np.float32)
    store = stored(tmp_path, digest(), digest(), digest(), b"", None, vectors=vectors)
    ids = store.ids()
    assert group(store, ids, store.facts(ids)) == [[0, 2], [1], [3], [4]]
    assert [[one.path for one in found] for found in find_duplicates(store)] == [["/0.jpg", "/2.jpg"]]
