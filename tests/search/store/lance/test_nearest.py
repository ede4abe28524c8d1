from __future__ import annotations

import numpy as np

from imtext.search.store import File, Picture
from imtext.search.store.lance import LanceStore
from imtext.search.store.lance.nearest import SPARE, nearest
from tests.search.store.conftest import vector


def test_more_equal_scores_than_are_read_at_first(lance: LanceStore) -> None:
    """The wanted ones are the first of them that were indexed, wherever Lance finds them."""
    count = 4 * SPARE + 10
    order = np.random.default_rng(0).permutation(count).tolist()
    for part in (order[: count // 2], order[count // 2 :]):
        lance.commit(
            [Picture(b"%d" % number, vector(0)) for number in part],
            [File(f"/{number}", 1, 1, b"%d" % number) for number in part],
        )
    ids, scores = nearest(lance._latest().pictures, vector(1), 3, "", indexed=False)
    assert ids.tolist() == [1, 2, 3]
    assert len(set(scores.tolist())) == 1


def test_fewer_pictures_pass_than_are_wanted(lance: LanceStore) -> None:
    for number in range(5):
        lance.commit([Picture(b"%d" % number, vector(number))], [File(f"/{number}", 1, 1, b"%d" % number)])
    for indexed in (False, True):
        ids, _ = nearest(lance._latest().pictures, vector(1), 4, "id IN (2, 5)", indexed)
        assert sorted(ids.tolist()) == [2, 5]
