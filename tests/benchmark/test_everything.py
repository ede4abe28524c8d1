"""All benchmarks in one page, each on almost nothing."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from imtext.benchmark import everything
from imtext.benchmark.__main__ import main
from imtext.benchmark.everything import benchmark_all, machine_facts
from imtext.errors import ConfigError, MissingExtraError
from imtext.search import Bundle
from tests.conftest import TINY_SHAPES

PARTS = ["Search", "Server", "Indexing", "Models", "Training"]


@pytest.mark.slow
def test_a_page_of_everything(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, values = tmp_path / "page.html", tmp_path / "values.json"
    settings = [*TINY_SHAPES, "data.num_images=450", "logger=none", "paths.root=."]
    options = ["--quick", "--output", str(page), "--json", str(values), "--bundle", str(bundle.path)]
    monkeypatch.setattr(sys, "argv", ["benchmark", "all", *settings, *options])
    main()
    text = page.read_text()
    found = json.loads(values.read_text())
    assert [part["title"] for part in found["parts"]] == PARTS
    assert all(part["found"] and part["charts"] for part in found["parts"])
    assert text.count("<h2>") == len(PARTS)
    for bar in ("FAISS flat", "plain torch loop", "plain loop", "100 searches/s"):
        assert bar in text


def fail() -> dict[str, object]:
    """A benchmark whose packages are missing."""
    raise MissingExtraError("Install it: pip install imtext[train]")


def test_what_fails_says_so_in_its_place() -> None:
    part = everything._part("train experiment=quickstart", fail, print, lambda found: [])
    assert part.printed == "not measured: Install it: pip install imtext[train]"
    assert part.command == "python -m imtext.benchmark train experiment=quickstart"
    assert (part.title, part.found) == ("Training", None)


def die() -> dict[str, object]:
    """A benchmark that needs more memory than there is."""
    os._exit(9)


def test_a_benchmark_that_is_killed_leaves_the_others() -> None:
    part = everything._part("search", die, print, lambda found: [])
    assert part.printed.startswith("not measured: BrokenProcessPool")


def test_mistakes_are_found_before_anything_is_measured(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything, "_part", None)
    with pytest.raises(ConfigError, match="epochz"):
        benchmark_all(bundle, ["trainer.epochz=1"], [], quick=True)
    there = tmp_path / "none" / "page.html"
    monkeypatch.setattr(sys, "argv", ["benchmark", "all", "--bundle", str(bundle.path), "--output", str(there)])
    with pytest.raises(SystemExit, match="there is no folder"):
        main()


def test_facts_of_the_machine(tmp_path: Path) -> None:
    facts = machine_facts(tmp_path)
    assert facts["processor"]
    assert "numpy 2" in facts["packages"]
    assert facts["memory"].endswith("GiB")
