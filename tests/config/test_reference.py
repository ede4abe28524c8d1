"""The configuration reference."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from imtext.config.compose import compose_config, groups
from imtext.config.paths import CONFIG_DIR
from imtext.config.reference import _composed, comments_of, main, reference, type_name
from imtext.config.suggestions import flat_keys


@pytest.fixture(scope="module")
def text() -> str:
    return reference()


def test_every_option_has_a_section(text: str) -> None:
    for group in groups():
        assert f"\n## `{group}`\n" in text
        for path in (CONFIG_DIR / group).glob("*.yaml"):
            assert f"\n### `{group}={path.stem}`\n" in text


def test_every_setting_of_a_run_is_listed(text: str) -> None:
    config: Any = compose_config("train", [])
    keys = {key for key in flat_keys(config) if not key.endswith("_target_")}
    groups_of_settings = {key.rpartition(".")[0] for key in flat_keys(config)}
    assert [key for key in sorted(keys - groups_of_settings) if f"| `{key}` |" not in text] == []


def test_a_setting_has_type_default_and_descriptions(text: str) -> None:
    (row,) = {line for line in text.splitlines() if line.startswith("| `optim.warmup` | number |")}
    assert "| `0.05` |" in row
    assert "steps" in row  # from the docstring of the class
    (split,) = {
        line for line in text.splitlines() if line.startswith("| `data.split` | `ratios` or `official` | `ratios`")
    }
    assert "the source's own split" in split  # from the docstring of the parent


def test_the_reference_depends_on_nothing_but_the_package(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _composed.cache_clear()
    monkeypatch.setenv("IMTEXT_ROOT", "/elsewhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["reference", str(tmp_path / "docs" / "reference.md")])
    main()
    assert (tmp_path / "docs" / "reference.md").read_text() == text


@pytest.mark.parametrize(
    ("hint", "name"),
    [
        (int | Literal["auto"], "integer or `auto`"),
        (Sequence[str] | None, "list of text or null"),
        (tuple[float, ...], "list of number"),
        (dict[str, Any], "group"),
        (Any, ""),
    ],
)
def test_types_have_the_words_of_yaml(hint: Any, name: str) -> None:
    assert type_name(hint) == name


def test_comments_are_read_by_path(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("# head\na: 1  # one\nb:\n  c: '#2'   # two\n  d: 3\ne: 4 # four\n")
    assert comments_of(path, "g") == {"g.a": "one", "g.b.c": "two", "g.e": "four"}
