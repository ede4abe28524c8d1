from __future__ import annotations

import numpy as np

from imtext.benchmark.drawn import drawn_like


def test_drawn_vectors_lie_where_the_others_do() -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(300, 8)).astype(np.float32) * np.geomspace(1, 0.01, 8, dtype=np.float32) + 0.5
    real /= np.linalg.norm(real, axis=1, keepdims=True)
    drawn = drawn_like(real, 5_000, rng, block=1_000)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(drawn.mean(axis=0), real.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(drawn.var(axis=0), real.var(axis=0), rtol=0.4, atol=0.01)  # rescaled to unit length
