"""The Python API: rank pictures by a text, rank texts by a picture, and search a database of pictures."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from imtext.errors import SearchError
from imtext.preprocess import Pixels, open_image, upright_rgb
from imtext.search.bundle import load_bundle
from imtext.search.encoder import Embeddings, Encoder
from imtext.search.filters import NO_FILTERS, Filters, Sort
from imtext.search.index import Index
from imtext.search.pretrained import named_bundle
from imtext.search.query import embed_queries, parse_query, picture_query, query_notes
from imtext.search.ranking import Reranker, rank_vectors
from imtext.search.reranker import BundleReranker, bundle_reranker, candidates_to_rerank
from imtext.search.results import RankedText, SearchResult
from imtext.search.runs import newest_bundle, runs_dir
from imtext.search.store import Grid
from imtext.search.tagging import TEMPLATES, Tagger

Source = str | os.PathLike[str] | bytes | Image.Image


def create_predictor(
    bundle: str | Path | None = None, index: str | Path | None = None, rerank_top_k: int | None = None
) -> Predictor:
    """Open a trained model for searching. This needs neither torch nor a GPU.

    Args:
        bundle: folder of a bundle or of a run; or the short name of a recommended model (`imtext bundle --list`), or
            ``hf://owner/name`` of a bundle on the hub, which are downloaded once; None: the newest below
            `runs/` (see `IMTEXT_ROOT`).
        index: folder of an index to search and to extend; None: a temporary one that is deleted with the predictor.
        rerank_top_k: number of candidates that the bundle's re-ranker scores again; 0: none; None: as many as the
            bundle says, if it has a re-ranker. Each search can name another number.

    Raises:
        BundleError: there is no bundle, or it was altered.
        SearchError: `rerank_top_k` is above 0 and the bundle has no re-ranker.
    """
    path = named_bundle(Path(bundle)) if bundle is not None else newest_bundle(runs_dir())
    return Predictor(Encoder(load_bundle(path)), Path(index) if index is not None else None, None, rerank_top_k)


class Predictor:
    """Ranks and searches; safe to use from several threads at once.

    Args:
        encoder: encoder of a bundle.
        index: folder of an index; None: a temporary one.
        reranker: scores the best candidates of every ranking and search again, instead of the bundle's own re-ranker.
        rerank_top_k: number of candidates that the bundle's re-ranker scores again; see `create_predictor`.

    Raises:
        SearchError: `rerank_top_k` is above 0 and the bundle has no re-ranker.
    """

    def __init__(
        self,
        encoder: Encoder,
        index: Path | None = None,
        reranker: Reranker | None = None,
        rerank_top_k: int | None = None,
    ) -> None:
        self.encoder, self.reranker, self.rerank_top_k = encoder, reranker, rerank_top_k
        candidates_to_rerank(encoder.bundle, rerank_top_k)
        if index is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="imtext-")  # removed with this object
            index = Path(self._temporary.name) / "index"
        self._folder = index
        self._index: Index | None = None

    # ---- embeddings

    def encode_image(self, image: Source) -> Embeddings:
        """One picture (a path, its encoded bytes, or a PIL image) → ``[embed_dim]`` of unit length.

        Raises:
            SearchError: the picture cannot be read; the message names the file and the reason.
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

    def query_notes(self, text_query: str) -> list[str]:
        """Sentences about the words of a query that the model does not know or does not read; empty if there are none.

        Raises:
            SearchError: the query is empty, or it names a picture that does not exist.
        """
        return query_notes(parse_query(text_query), self.encoder.tokenizer)

    # ---- ranking given pictures or texts

    def rank_images(
        self,
        text_query: str,
        image_paths: Sequence[str | os.PathLike[str]],
        top_k: int | None = None,
        rerank_top_k: int | None = None,
    ) -> list[SearchResult]:
        """Order pictures by how well they fit a text, best first.

        Args:
            text_query: words, or query arithmetic such as ``dog + beach - person``.
            image_paths: paths of pictures; a picture that cannot be read is an error.
            top_k: maximum number of results; None: all.
            rerank_top_k: number of pictures that the bundle's re-ranker scores again; None: the predictor's own.

        Raises:
            SearchError: a picture cannot be read, the query is empty, or the bundle has no re-ranker.
        """
        paths = [os.fspath(path) for path in image_paths]
        query = embed_queries([parse_query(text_query)], self.encoder)[0]
        grids: dict[str, Grid] = {}
        reranker = self.reranker or bundle_reranker(
            self.encoder, query, self._again(rerank_top_k), lambda names: [grids[name] for name in names]
        )
        if isinstance(reranker, BundleReranker):
            vectors, found = self.encoder.encode_images_and_grids(self._pixels(path) for path in paths)
            grids.update(zip(paths, found, strict=True))
        else:
            vectors = self.encode_images(paths)
        calibration = self.encoder.bundle.calibration
        matches = rank_vectors(query, vectors, calibration, top_k, names=paths, reranker=reranker)
        return [SearchResult(paths[match.place], match.score, match.relevance) for match in matches]

    def rank_texts(self, image: Source, texts: Sequence[str], top_k: int | None = None) -> list[RankedText]:
        """Order texts by how well they describe a picture, best first."""
        query = picture_query(self.encode_image(image), calibrated=True)
        calibration, vectors = self.encoder.bundle.calibration, self.encode_texts(texts)
        known = [self.encoder.tokenizer.knows(text) for text in texts]
        matches = rank_vectors(query, vectors, calibration, top_k, known, names=texts, reranker=self.reranker)
        return [RankedText(texts[match.place], match.score, match.relevance, match.place) for match in matches]

    def tag_image(
        self, image: Source, labels: Sequence[str], templates: Sequence[str] = TEMPLATES, top_k: int | None = None
    ) -> list[RankedText]:
        """Order labels by how well they fit a picture, best first; for many pictures `imtext.search.tagging.Tagger`."""
        return Tagger(self.encoder, labels, templates).tag(self.encode_image(image), top_k)

    # ---- a database of pictures

    @property
    def index(self) -> Index:
        """The index that is searched.

        Raises:
            SearchError: nothing was indexed yet.
        """
        if self._index is None and not self._folder.exists():
            raise SearchError("There is nothing to search yet: call build_image_database(image_paths) first")
        return self._open_index()

    def build_image_database(
        self,
        image_paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
        progress: Callable[[int, int, str], None] = lambda done, total, path: None,
        grids: bool | None = None,
        exclude: Sequence[str] | None = None,
        include_hidden: bool | None = None,
    ) -> dict[str, str]:
        """Index pictures, so that a search takes milliseconds. Known pictures are not embedded again.

        Args:
            image_paths: a folder, or a list of files.
            progress: called with files done, files to do and the path of the current one.
            grids: store what the re-ranker of the bundle reads; None: if there is one, or as before.
            exclude: patterns as in a `.gitignore` file of what to leave out below the folder; None: as before.
            include_hidden: also read hidden files, and folders that usually contain no photos; None: as before.

        Returns:
            Path of each file that could not be read → why.
        """
        if isinstance(image_paths, (str, os.PathLike)):
            sources, files = [os.fspath(image_paths)], []
        elif image_paths:
            sources, files = [], [os.fspath(path) for path in image_paths]
        else:
            raise SearchError("image_paths is empty: give a folder, or files")
        index = self._open_index()
        rules = index.rules.override(exclude, include_hidden)
        return index.update(sources, progress, files=files, grids=grids, rules=rules).refused

    def search_database(
        self,
        text_query: str,
        top_k: int = 10,
        min_relevance: float | None = 0.0,
        rerank_top_k: int | None = None,
        filters: Filters = NO_FILTERS,
        sort: Sort = "relevance",
        fold: bool = True,
        words: bool = True,
    ) -> list[SearchResult]:
        """The best pictures of the database for a text or query arithmetic, best first.

        Args:
            text_query: words, or query arithmetic; empty: the newest pictures that pass the filters.
            top_k: maximum number of results.
            min_relevance: leave out results below this relevance; None: below the bundle's own threshold.
            rerank_top_k: number of candidates that the bundle's re-ranker scores again; None: the predictor's own.
            filters: choose from the pictures that pass; `parse_filters` makes them of texts such as ``2024-05``.
            sort: order of the results; ``date``: newest first.
            fold: leave out near duplicates of better results.
            words: also find pictures by words in names, in what people wrote, and in pictures.

        Raises:
            SearchError: the query cannot be used, a number is out of bounds, or the bundle has no re-ranker.
        """
        if not text_query.strip() and filters:
            return self.index.newest(top_k, filters)
        found = self.search_database_batch([text_query], top_k, min_relevance, rerank_top_k, filters, sort, fold, words)
        return found[0]

    def search_database_batch(
        self,
        text_queries: Sequence[str],
        top_k: int = 10,
        min_relevance: float | None = 0.0,
        rerank_top_k: int | None = None,
        filters: Filters = NO_FILTERS,
        sort: Sort = "relevance",
        fold: bool = True,
        words: bool = True,
    ) -> list[list[SearchResult]]:
        """`search_database` for many queries at once, which is faster than one after the other."""
        queries, again = [parse_query(query) for query in text_queries], self._again(rerank_top_k)
        return self.index.search_batch(queries, top_k, min_relevance, again, filters, sort, fold, words)

    def search_similar(self, image: Source, top_k: int = 10, fold: bool = True) -> list[SearchResult]:
        """The pictures of the database that are most similar to a picture; `fold`: see `search_database`."""
        return self.index.search_queries([picture_query(self.encode_image(image))], top_k, fold=fold)[0]

    def _again(self, rerank_top_k: int | None) -> int | None:
        return self.rerank_top_k if rerank_top_k is None else rerank_top_k

    def _open_index(self) -> Index:
        if self._index is None:
            self._index = Index.create(self._folder, self.encoder.bundle)
        self._index.reranker = self.reranker
        return self._index

    def _pixels(self, image: Source) -> Pixels:
        preprocess = self.encoder.bundle.preprocess
        if isinstance(image, Image.Image):
            return preprocess.pixels(upright_rgb(image))
        source = image if isinstance(image, bytes) else Path(image)
        try:
            return preprocess.pixels(open_image(source, preprocess.image_size))
        except ValueError as error:
            name = "The picture" if isinstance(image, bytes) else image
            raise SearchError(f"{name} cannot be read: {error}") from error
