"""The re-ranker of a bundle: looks at every word of a query and at every place in the best pictures.

It reads grids, the places of a picture as `Encoder.encode_images_and_grids` computes them. An index stores them, or
they are computed again from the files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from imtext.errors import SearchError
from imtext.preprocess import Pixels, Preprocess, open_image
from imtext.search.bundle import MAX_CANDIDATES, Bundle
from imtext.search.calibration import Calibration
from imtext.search.encoder import Encoder
from imtext.search.files import picture_of, state_of
from imtext.search.query import Query
from imtext.search.ranking import Scores
from imtext.search.store.protocol import Store
from imtext.search.store.records import File, Grid

# Names of candidates → their grids; None for a picture that can no longer be read.
FindGrids = Callable[[Sequence[str]], Sequence[Grid | None]]


@dataclass(frozen=True)
class BundleReranker:
    """The re-ranker of a bundle, as a `imtext.search.ranking.CalibratedReranker` for one query.

    Attributes:
        encoder: encoder of the bundle.
        depth: number of candidates that it scores.
        calibration: converts its scores to a relevance.
        find_grids: finds the grids of candidates.
    """

    encoder: Encoder
    depth: int
    calibration: Calibration | None
    find_grids: FindGrids

    def __call__(self, query: Query, names: Sequence[str], scores: Scores) -> Scores:
        """Score K candidates.

        New scores are on another scale than the similarity. A picture that can no longer be read is moved there by the
        mean difference of the others; if none can be read, all scores are NaN.
        """
        grids, text = self.find_grids(names), query.terms[0].text
        readable = np.array([grid is not None for grid in grids])
        if text is None or not readable.any():
            return np.full_like(scores, np.nan)
        again = self.encoder.rerank(text, np.stack([grid for grid in grids if grid is not None]), scores[readable])
        moved: Scores = scores + (again - scores[readable]).mean()
        moved[readable] = again
        return moved


def candidates_to_rerank(bundle: Bundle, rerank_top_k: int | None) -> int:
    """The number of candidates that a search scores again; 0: none.

    Args:
        bundle: the bundle.
        rerank_top_k: as named for the search; None: as many as the bundle says, if it has a re-ranker.

    Raises:
        SearchError: the number is out of bounds, or the bundle has no re-ranker.
    """
    if rerank_top_k is None:
        return bundle.reranker.top_k if bundle.reranker else 0
    if not 0 <= rerank_top_k <= MAX_CANDIDATES:
        raise SearchError(f"rerank_top_k must be between 0 and {MAX_CANDIDATES:,}, not {rerank_top_k}")
    if rerank_top_k and bundle.reranker is None:
        raise SearchError(
            f"The model {bundle.manifest['name']} has no re-ranker, so rerank_top_k must be 0. To train one: "
            "python -m imtext.rerank ckpt_path=best"
        )
    return rerank_top_k


def can_rerank(query: Query) -> bool:
    """Whether a query is a single text that the model knows a word of; a re-ranker is trained for nothing else."""
    return query.known and len(query.terms) == 1 and query.terms[0].text is not None and query.terms[0].weight > 0


def bundle_reranker(
    encoder: Encoder, query: Query, rerank_top_k: int | None, find_grids: FindGrids
) -> BundleReranker | None:
    """The re-ranker for one query; None if the bundle has none, or the order of the dual encoder stays.

    Raises:
        SearchError: as `candidates_to_rerank`.
    """
    depth, facts = candidates_to_rerank(encoder.bundle, rerank_top_k), encoder.bundle.reranker
    if not depth or facts is None or not can_rerank(query):
        return None
    return BundleReranker(encoder, depth, facts.calibration, find_grids)


def grids_of(encoder: Encoder, stored: Mapping[int, Grid], held: Mapping[int, Sequence[File]]) -> dict[int, Grid]:
    """The grids of pictures of an index, by id.

    Args:
        encoder: encoder of the index's bundle.
        stored: grids that the index has.
        held: the files of each picture; grids that are not stored are computed from them.

    Returns:
        A grid for each picture, except for pictures without a file that is still as it was when it was indexed.
    """
    missing = [id for id in held if id not in stored]
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="decode") as pool:
        pixels = list(pool.map(lambda id: _read(held[id], encoder.bundle.preprocess), missing))
    read = {id: picture for id, picture in zip(missing, pixels, strict=True) if picture is not None}
    if not read:
        return dict(stored)
    _, grids = encoder.encode_images_and_grids(read.values())
    return {**stored, **dict(zip(read, grids, strict=True))}


def _read(files: Sequence[File], preprocess: Preprocess) -> Pixels | None:
    """The pixels of the first file that is still as it was when it was indexed."""
    for file in files:
        with suppress(OSError, ValueError):
            state = state_of(file.path)
            if (state.st_size, state.st_mtime_ns) == (file.size, file.mtime_ns):
                return preprocess.pixels(open_image(picture_of(file.path), preprocess.image_size))
    return None


def has_grids(store: Store) -> bool | None:
    """Whether a store keeps grids, by its first picture; None if there is no picture."""
    first = store.ids(0, 1)
    return bool(store.grids(first)) if first else None


def keeps_grids(store: Store, bundle: Bundle, wanted: bool | None) -> bool:
    """Whether an update stores the grids of new pictures.

    Args:
        store: the store; the pictures that it has decide.
        bundle: bundle of the index.
        wanted: as the user says; None: as for the pictures that are there, and of the first pictures yes.

    Raises:
        SearchError: the user wants something else than the pictures that are there have, or grids of a model without a
            re-ranker.
    """
    if bundle.reranker is None:
        if wanted:
            raise SearchError(f"The model {bundle.manifest['name']} has no re-ranker, so there are no grids to store")
        return False
    present = has_grids(store)
    if present is None or wanted is None:
        return (wanted is not False) if present is None else present
    if wanted != present:
        option = "--grids" if wanted else "--no-grids"
        raise SearchError(
            f"The pictures of this index {'have' if present else 'have no'} stored grids. To change that, embed "
            f"everything again: imtext index --rebuild {option}"
        )
    return present
