"""Indexing that is killed at any moment loses nothing that was committed."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imtext.search import Bundle, Encoder, Index
from imtext.search.store.sqlite import ROWS
from imtext.training.checkpoints import TrainedModel
from tests.conftest import picture
from tests.torture.amounts import amount, write_down

KILLS = amount(6, 200)

# Commits after every few pictures instead of every two seconds, so that kills happen during and between commits.
UPDATE = """
import sys
from pathlib import Path
from imtext.search.index import apply, embedding, preparation
from imtext.search import Index
apply.COMMIT_SECONDS, embedding.BATCH, preparation.AHEAD = 0.01, 4, 8
index = Index(Path(sys.argv[1]), threads=1)
index.encoder.encode_images([])
print("ready", flush=True)
index.update([sys.argv[2]], allow_empty=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("second_look", [False, True], ids=["towers", "reranker"])
def test_killed_at_any_moment(
    bundle: Bundle, reranked: tuple[TrainedModel, Bundle], second_look: bool, tmp_path: Path
) -> None:
    bundle = reranked[1] if second_look else bundle
    encoder = Encoder(bundle, threads=1)
    chance, gallery, folder = random.Random(0), tmp_path / "gallery", tmp_path / "index"
    gallery.mkdir()
    Index.create(folder, bundle)
    vectors: dict[bytes, np.ndarray] = {}
    drawn = 0
    before: dict[str, bytes] = {}
    survived = 0
    for _ in range(KILLS):
        present = sorted(gallery.iterdir())
        for path in chance.sample(present, min(4, len(present))):
            change = chance.choice(["rename", "remove", "redraw", "copy", "swap"])
            if not path.exists():
                continue
            if change == "swap":
                other = chance.choice(sorted(gallery.iterdir()))
                first, second = path.read_bytes(), other.read_bytes()
                path.write_bytes(second)
                other.write_bytes(first)
            elif change == "rename":
                path.rename(gallery / f"renamed {chance.random()}.png")
            elif change == "remove":
                path.unlink()
            elif change == "redraw":
                picture(path, 10_000 + drawn)
            else:
                (gallery / f"copy {chance.random()}.png").write_bytes(path.read_bytes())
        for _ in range(12):
            picture(gallery / f"{drawn:05}.png", drawn)
            drawn += 1
        command = [sys.executable, "-c", UPDATE, str(folder), str(gallery)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as indexing:
            assert indexing.stdout is not None
            assert indexing.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 0.08))
            survived += indexing.poll() is not None
            indexing.kill()
        before = sound(folder, gallery, before, vectors, encoder)
    Index(folder).update([str(gallery)], allow_empty=True)
    on_disk = {str(path): content(path) for path in gallery.iterdir()}
    assert sound(folder, gallery, before, vectors, encoder) == on_disk
    assert len(Index(folder)) == len(set(on_disk.values())), "no picture without a file, once an update has ended"
    assert survived < KILLS, "every update had ended before its kill: nothing was tested"
    write_down(f"{KILLS} kills, {KILLS - survived} of them before the end; {len(on_disk)} files")


def sound(
    folder: Path, gallery: Path, before: dict[str, bytes], vectors: dict[bytes, np.ndarray], encoder: Encoder
) -> dict[str, bytes]:
    """Check the index after a killed update, as the next reader sees it; returns committed file → content."""
    with sqlite3.connect(folder / ROWS) as rows:
        assert rows.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert rows.execute("PRAGMA foreign_key_check").fetchall() == []
    index = Index(folder)
    ids = index.store.ids()
    held = index.store.held(ids)
    assert len(set(ids)) == len(ids) == index.store.check()
    committed = {}
    assert sorted(index.store.grids(ids)) == (ids if index.bundle.reranker else []), "no vector without a grid"
    for number in ids:
        vector = index.store.vector_of(number)
        assert vector is not None
        for file in held[number]:
            committed[file.path] = file.content
            if file.content not in vectors:
                assert content(Path(file.path)) == file.content  # new since the last look, so it is still there
                vectors[file.content] = encoder.encode_images([pixels(index, Path(file.path))])[0]
        np.testing.assert_allclose(vector, vectors[held[number][0].content], atol=1e-5)
    for path, known in before.items():
        if Path(path).exists() and content(Path(path)) == known:
            assert committed[path] == known, f"{path} was lost"
    return committed


def content(path: Path) -> bytes:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()


def pixels(index: Index, path: Path) -> np.ndarray:
    return index.bundle.preprocess.pixels(Image.open(path).convert("RGB"))
