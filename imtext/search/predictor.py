"""The Python API: rank pictures for a text, texts for a picture, and search what was indexed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from imtext.errors import SearchError
from imtext.preprocess import Pixels, open_image, upright_rgb
from imtext.search.bundle import load_bundle, newest_bundle
from imtext.search.encoder import Embeddings, Encoder
from imtext.search.index import Index, SearchResult
from imtext.search.query import embed_queries, parse_query
from imtext.search.store.matrix import Matrix

Source = str | os.PathLike[str] | bytes | Image.Image


@dataclass(frozen=True)
class RankedText:
    """A text and how well it describes the picture: its similarity, its relevance, its place in what was given."""

    text: str
    score: float
    relevance: float | None
    position: int


def create_predictor(bundle: str | Path | None = None, index: str | Path | None = None) -> Predictor:
    """Open a trained model for searching; needs neither torch nor a GPU.

    Args:
        bundle: its folder, or that of the training run; None: the newest below `runs/` (see `IMTEXT_ROOT`).
        index: folder of an index to search and to grow; None: one of its own, gone with the predictor.

    Raises:
        BundleError: there is none, or it was altered.
    """
    path = Path(bundle) if bundle is not None else newest_bundle(runs_dir())
    return Predictor(Encoder(load_bundle(path)), Path(index) if index is not None else None)


def runs_dir() -> Path:
    """Where trainings leave their runs: `runs/` in `IMTEXT_ROOT`, or here."""
    return Path(os.environ.get("IMTEXT_ROOT") or ".").expanduser() / "runs"


class Predictor:
    """Ranks and searches; safe to use from several threads at once.

    Args:
        encoder: of a bundle.
        index: folder of an index; None: a temporary one.
    """

    def __init__(self, encoder: Encoder, index: Path | None = None) -> None:
        self.encoder = encoder
        self._temporary = tempfile.TemporaryDirectory(prefix="imtext-") if index is None else None
        self._folder = Path(self._temporary.name) / "index" if self._temporary else index
        self._index: Index | None = None

    # ---- embeddings

    def encode_image(self, image: Source) -> Embeddings:
        """One picture (a path, its encoded bytes, or a PIL image) → ``[embed_dim]`` of unit length.

        Raises:
            SearchError: it cannot be read; says which and why.
        """
        embedding: Embeddings = self.encode_images([image])[0]
        return embedding

    def encode_images(self, images: Sequence[Source]) -> Embeddings:
        """``N`` pictures → ``[N, embed_dim]`` of unit length."""
        return self.encoder.encode_images(self._pixels(image) for image in images)

    def encode_text(self, text: str) -> Embeddings:
        """One text → ``[embed_dim]`` of unit length."""
        embedding: Embeddings = self.encode_texts([text])[0]
        return embedding

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """``N`` texts → ``[N, embed_dim]`` of unit length."""
        return self.encoder.encode_texts(texts)

    # ---- ranking what is given

    def rank_images(
        self, text_query: str, image_paths: Sequence[str | os.PathLike[str]], top_k: int | None = None
    ) -> list[SearchResult]:
        """Order pictures by how well they fit a text, best first.

        Args:
            text_query: words, or query arithmetic such as ``dog + beach - person``.
            image_paths: of pictures; a bad one is an error that names it.
            top_k: the best so many; None: all.

        Raises:
            SearchError: a picture cannot be read, or the query is empty.
        """
        paths = [os.fspath(path) for path in image_paths]
        terms = parse_query(text_query)
        query = embed_queries([terms], self.encoder)[0]
        vectors = self.encode_images(paths)
        places, scores, relevance = self._rank(query, vectors, top_k, all(term.picture is None for term in terms))
        return [
            SearchResult(paths[place], float(score), likely)
            for place, score, likely in zip(places, scores, relevance, strict=True)
        ]

    def rank_texts(self, image: Source, texts: Sequence[str], top_k: int | None = None) -> list[RankedText]:
        """Order texts by how well they describe a picture, best first."""
        vectors = self.encode_texts(texts)
        places, scores, relevance = self._rank(self.encode_image(image), vectors, top_k, True)
        return [
            RankedText(texts[place], float(score), likely, int(place))
            for place, score, likely in zip(places, scores, relevance, strict=True)
        ]

    def _rank(
        self, query: Embeddings, vectors: Embeddings, top_k: int | None, calibrated: bool
    ) -> tuple[list[int], list[float], list[float | None]]:
        if top_k is not None and top_k < 1:
            raise SearchError(f"top_k must be at least 1, not {top_k}")
        if not len(vectors):
            return [], [], []
        mean = vectors.mean(axis=0)
        matrix = Matrix(0, np.arange(len(vectors)), vectors, mean)
        (places,), (scores,) = matrix.top_k(query[None], top_k or len(vectors))
        calibration = self.encoder.bundle.calibration
        relevance: list[float | None] = [None] * len(places)
        if calibrated and calibration is not None:
            relevance = calibration.relevance(scores, float(mean @ query), len(vectors)).tolist()
        return places.tolist(), scores.tolist(), relevance

    # ---- a database

    @property
    def index(self) -> Index:
        """The index that is searched.

        Raises:
            SearchError: nothing was indexed yet.
        """
        if self._index is None:
            if self._folder is None or not self._folder.exists():
                raise SearchError("There is nothing to search yet: call build_image_database(image_paths) first")
            self._index = Index.create(self._folder, self.encoder.bundle)
        return self._index

    def build_image_database(
        self,
        image_paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
        progress: Callable[[int, int, str], None] = lambda done, total, path: None,
    ) -> dict[str, str]:
        """Index pictures, to be searched in milliseconds; what is known already is not embedded again.

        Args:
            image_paths: a folder, or a list of files.
            progress: called with files done, files to do and the present one's path.

        Returns:
            Files that could not be read → why.
        """
        single = isinstance(image_paths, (str, os.PathLike))
        paths = [os.fspath(image_paths)] if single else [os.fspath(path) for path in image_paths]  # type: ignore[arg-type, union-attr]
        if not paths:
            raise SearchError("image_paths is empty: give a folder, or files")
        if self._index is None:
            assert self._folder is not None
            self._index = Index.create(self._folder, self.encoder.bundle)
        if single:
            return self._index.update(paths, progress).refused
        return self._index.update(progress=progress, files=paths).refused

    def search_database(self, text_query: str, top_k: int = 10, min_relevance: float = 0.0) -> list[SearchResult]:
        """The best pictures of the database for a text or query arithmetic, best first."""
        return self.index.search(parse_query(text_query), top_k, min_relevance)

    def search_database_batch(
        self, text_queries: Sequence[str], top_k: int = 10, min_relevance: float = 0.0
    ) -> list[list[SearchResult]]:
        """`search_database` for many queries at once, which is faster than one after the other."""
        return self.index.search_batch([parse_query(query) for query in text_queries], top_k, min_relevance)

    def search_similar(self, image: Source, top_k: int = 10) -> list[SearchResult]:
        """The pictures of the database most like a picture."""
        return self.index.nearest(self.encode_images([image]), top_k, calibrated=[False])[0]

    def _pixels(self, image: Source) -> Pixels:
        preprocess = self.encoder.bundle.preprocess
        if isinstance(image, Image.Image):
            return preprocess.pixels(upright_rgb(image))
        source = image if isinstance(image, bytes) else Path(image)
        try:
            return preprocess.pixels(open_image(source, preprocess.image_size))
        except ValueError as error:
            raise SearchError(
                f"{'The picture' if isinstance(image, bytes) else image} cannot be read: {error}"
            ) from error
