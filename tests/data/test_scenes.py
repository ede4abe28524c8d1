"""Drawn scenes and their captions."""

from __future__ import annotations

import numpy as np

from imtext.data.scenes import CANVAS, RELATIONS, Scene, Thing, describe, draw, random_scene


def scenes(count: int) -> list[Scene]:
    rng = np.random.default_rng(0)
    return [random_scene(rng) for _ in range(count)]


def test_captions_name_colours_and_shapes() -> None:
    scene = Scene("white", Thing("circle", "red", "small"), Thing("star", "blue", "big"), "inside")
    captions = describe(scene, np.random.default_rng(0))
    assert len(captions) == 5
    assert all("red" in text and "blue" in text and "star" in text for text in captions)


def test_several_of_a_kind_are_counted() -> None:
    captions = describe(Scene("white", Thing("cross", "pink", "big"), count=2), np.random.default_rng(0))
    assert all(("two" in text or "2" in text or "pair" in text) and "pink" in text for text in captions)
    assert any("crosses" in text for text in captions)


def test_both_kinds_of_scenes_occur() -> None:
    found = scenes(300)
    assert {scene.relation for scene in found} == {None, *RELATIONS}
    assert 0.2 < np.mean([scene.second is None for scene in found]) < 0.45
    assert all(scene.second is None or scene.first != scene.second for scene in found)


def test_pictures_are_reproducible_and_not_aligned() -> None:
    for scene in scenes(20):
        one, again, other = (np.asarray(draw(scene, np.random.default_rng(seed))) for seed in (0, 0, 1))
        assert one.shape == (CANVAS, CANVAS, 3)
        assert (one == again).all()
        assert (one != other).any()
        assert len(np.unique(one.reshape(-1, 3), axis=0)) > 1
