"""Suggestions for misspelt names."""

from __future__ import annotations

from imtext.config.suggestions import did_you_mean, flat_keys


def test_a_near_name_is_suggested() -> None:
    assert did_you_mean("modle", ["model", "data"]) == " Did you mean model?"


def test_a_name_is_found_without_the_path_of_its_group() -> None:
    assert did_you_mean("lr", ["optim.lr", "optim.warmup"]) == " Did you mean optim.lr?"
    assert did_you_mean("batch_sise", ["data.batch_size", "optim.lr"]) == " Did you mean data.batch_size?"


def test_a_name_that_is_known_twice_is_suggested_once() -> None:
    assert did_you_mean("modle", ["model", "model"]) == " Did you mean model?"


def test_nothing_is_suggested_without_a_near_name() -> None:
    assert did_you_mean("zzz", ["model", "data"]) == ""


def test_flat_keys_lists_groups_and_settings() -> None:
    assert flat_keys({"a": {"b": {"c": 1}}, "d": []}) == ["a", "a.b", "a.b.c", "d"]
