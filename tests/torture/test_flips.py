"""One bit of a bundle or of an index is another one: it is noticed, or it makes no difference."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from imtext.errors import BundleError, ImtextError
from imtext.search import Bundle, Index, load_bundle
from imtext.search.query import parse_query
from tests.torture.amounts import amount, write_down

FLIPS = amount(10, 1_000)  # of each file
QUERIES = "red circle", "blue star - red circle", "a big green square"

Answers = list[list[tuple[str, float, float | None]]]

pytestmark = pytest.mark.slow


def flipped(path: Path, chance: random.Random) -> Iterator[None]:
    """Flip one bit after the other; each is as before when the next is flipped."""
    content = path.read_bytes()
    for _ in range(FLIPS if content else 0):
        changed = bytearray(content)
        changed[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        yield
        path.write_bytes(content)


def test_of_a_bundle(bundle: Bundle, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle.path, tmp_path / "bundle"))
    noticed: Counter[str] = Counter()
    for path in sorted(copy.iterdir()):
        for _ in flipped(path, random.Random(0)):
            try:
                opened = load_bundle(copy)
            except BundleError:
                noticed[path.name] += 1
            else:
                assert replace(opened, path=bundle.path) == bundle, f"{path.name} differs, and nobody noticed"
    assert all(noticed[name] > 0.9 * FLIPS for name in ("image.onnx", "manifest.json", "text.onnx", "tokenizer.json"))
    write_down(f"{FLIPS} flips in each file of a bundle, noticed: {dict(noticed)}; the others changed nothing")


def test_of_an_index(bundle: Bundle, gallery: Path, tmp_path: Path) -> None:
    folder, copy = tmp_path / "index", tmp_path / "copy"
    index = Index.create(folder, bundle)
    index.update([str(gallery)])
    right = answers(index)
    index.close()
    noticed: Counter[str] = Counter()
    for path in sorted(path.relative_to(folder) for path in folder.glob("*") if path.is_file()):
        shutil.copytree(folder, copy)
        for _ in flipped(copy / path, random.Random(0)):
            keep = (copy / path).read_bytes()
            noticed[path.name] += is_noticed(copy, right)
            shutil.rmtree(copy)  # what was opened may have been repaired, or have got files beside it
            shutil.copytree(folder, copy)
            (copy / path).write_bytes(keep)
        shutil.rmtree(copy)
    write_down(
        f"{FLIPS} flips in each file of an index, noticed: {dict(noticed)}; the others changed "
        "no score, and no name to one of another file"
    )


def answers(index: Index) -> Answers:
    found = index.search_batch([parse_query(query) for query in QUERIES], min_relevance=0, words=False)
    return [[(result.path, result.score, result.relevance) for result in results] for results in found]


def is_noticed(folder: Path, right: Answers) -> bool:
    """Whether the check finds the damage; if not, the answers must be right."""
    try:
        index = Index(folder)
        try:
            index.store.check()
            found = answers(index)
        finally:
            index.close()
    except ImtextError:
        return True
    for query, results, expected in zip(QUERIES, found, right, strict=True):
        for (path, *scores), (name, *known) in zip(results, expected, strict=True):
            # Names have no checksum: a changed one belongs to no file, which shows at the next look at it.
            assert path == name or not Path(path).exists(), f"{query}: {path} instead of {name}"
            # The mean of all vectors, which a relevance depends on, is compared with a tolerance.
            assert scores == pytest.approx(known, abs=1e-4), f"{query}: {scores} instead of {known} for {path}"
    return False
