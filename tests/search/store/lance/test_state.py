from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from imtext.errors import SearchError, StoreError
from imtext.search.store.lance import LanceStore
from imtext.search.store.lance.state import State, encode_sum, write_state


def test_written_and_read() -> None:
    total = np.array([0.1, -2.5, 1e-9])
    state = State(3, "g", 3, count=2, total=encode_sum(total), sources=["/not utf-8 \udcff"], replaced=("f", 1.5))
    assert State.read(state.write(), "here") == state
    np.testing.assert_array_equal(state.sum, total)
    np.testing.assert_allclose(state.mean, total / 2, rtol=1e-6)
    assert State(1, "g", 4).mean.tolist() == [0.0] * 4


def test_of_another_imtext() -> None:
    with pytest.raises(SearchError, match=r"here is an index of format 1, but this imtext reads 2"):
        State.read(State(1, "g", 3).write().replace('"format": 2', '"format": 1'), "here")


def test_only_the_next_commit_is_written(lance: LanceStore) -> None:
    table, state = lance._state_table, lance._last.state
    write_state(table, replace(state, number=2), "here")
    with pytest.raises(StoreError, match="Another process has written to here at the same time"):
        write_state(table, replace(state, number=2), "here")
