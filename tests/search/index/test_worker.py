"""A worker opens a packed bundle once and embeds as this process does."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import imtext
from imtext.errors import SearchError
from imtext.search import Bundle, Encoder
from imtext.search.index import worker
from imtext.search.index.discovery import find
from imtext.search.index.embedding import embed_files
from imtext.search.index.worker import Job, embed_chunk, is_among, pack_bundle, pack_contents


@pytest.fixture
def job(bundle: Bundle) -> Job:
    packed = pickle.dumps(pack_bundle(bundle))  # as Ray sends it
    return Job(imtext.__version__, bundle.fingerprint, packed, pack_contents([]), grids=False)


def get(reference: object) -> object:
    return pickle.loads(reference) if isinstance(reference, bytes) else reference


def test_embeds_as_this_process(job: Job, encoder: Encoder, gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_encoders", {})
    files = list(find([str(gallery)]).files.values())
    done = embed_chunk(files, job, get)
    assert done.node
    expected = list(embed_files(encoder, files, lambda contents: set(), grids=False))
    assert [item.file for item in done.files] == [item.file for item in expected]
    assert [item.facts for item in done.files] == [item.facts for item in expected]
    for item, other in zip(done.files, expected, strict=True):
        assert item.vector is not None
        assert other.vector is not None
        np.testing.assert_allclose(item.vector, other.vector, atol=1e-6)
    known = replace(job, contents=pack_contents([files.content for files in (item.file for item in done.files[:4])]))
    monkeypatch.setattr(worker, "Encoder", pytest.fail)
    again = embed_chunk(files, known, get)
    assert [item.vector is None for item in again.files] == [True] * 4 + [False] * 8


def test_another_version_is_refused(job: Job) -> None:
    with pytest.raises(SearchError, match=r"has imtext .*, but this machine has 0\.0\.1\. Install the same version"):
        embed_chunk([], replace(job, version="0.0.1"), get)


def test_known_contents() -> None:
    contents = [bytes([number]) * 15 + b"\0" for number in range(1, 50)]  # numpy cuts off zeros at the end
    known = is_among(pack_contents(contents[:40]))
    assert known(contents) == set(contents[:40])
    assert known([]) == is_among(pack_contents([]))(contents) == set()
