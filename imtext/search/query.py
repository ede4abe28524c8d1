"""Queries: parsing arithmetic such as ``dog + beach - person`` or ``2:dog + photo.jpg``, and embedding them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imtext.errors import SearchError
from imtext.preprocess import MAX_PIXELS, open_image
from imtext.preprocess.formats import ENDING

if TYPE_CHECKING:
    from imtext.preprocess.tokenizer import Tokenizer
    from imtext.search.encoder import Embeddings, Encoder

MAX_TERMS, MAX_LENGTH, MAX_WEIGHT = 16, 2_000, 100


@dataclass(frozen=True)
class Term:
    """One part of a query: a text or a picture, and its weight. A negative weight means: unlike this part."""

    text: str | None
    picture: Path | None
    weight: float


def parse_query(query: str, pictures: bool = True) -> list[Term]:
    """Split a query at ``+`` and ``-`` that stand between blanks; ``t-shirt`` is one word.

    If the whole query is the path of a picture, the query is that picture, also if its name contains signs.

    Args:
        query: the query as typed.
        pictures: whether a term may be the path of a picture. A server passes False: clients must not open its files.

    Raises:
        SearchError: the query is empty or too long, or a picture does not exist.
    """
    if len(query) > MAX_LENGTH:
        raise SearchError(f"The query has {len(query):,} characters; the limit is {MAX_LENGTH:,}")
    query = query.strip()
    if pictures and (picture := picture_file(query)):  # also if its name contains signs
        return [Term(None, picture, 1)]
    parts = re.split(r"(?:^|(?<=\s))([+-])(?=\s|$)", query)
    # A first part without a sign is added.
    signs, bodies = ["+", *parts[1::2]], parts[0::2]
    terms = [
        _term(body.strip(), -1 if sign == "-" else 1, pictures)
        for sign, body in zip(signs, bodies, strict=True)
        if body.strip()
    ]
    if not terms:
        raise SearchError("The query is empty. Describe what you are looking for, such as: a dog on the beach")
    if len(terms) > MAX_TERMS:
        raise SearchError(f"The query has {len(terms)} parts; the limit is {MAX_TERMS}")
    return terms


def _term(body: str, sign: int, pictures: bool) -> Term:
    weighted = re.match(r"(\d+(?:\.\d+)?|\.\d+):\s*(?=\S)", body)
    weight = float(weighted[1]) if weighted else 1.0
    if not 0 < weight <= MAX_WEIGHT:
        raise SearchError(f"{body!r}: the weight must be above 0 and at most {MAX_WEIGHT}")
    body = body[weighted.end() :] if weighted else body
    if pictures and ENDING.search(body):
        if not (picture := picture_file(body)):
            raise SearchError(f"There is no picture {body}. To search for the words, remove the file extension")
        return Term(None, picture, sign * weight)
    return Term(body, None, sign * weight)


def picture_file(name: str) -> Path | None:
    """The picture at this path, if there is one."""
    try:
        path = Path(name).expanduser()
        return path if ENDING.search(name) and path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # too long, of an unknown user after ~, or with a zero byte
        return None


@dataclass(frozen=True)
class Query:
    """An embedded query, made by `embed_queries` or `picture_query`.

    Attributes:
        vector: ``[embed_dim]`` of unit length.
        calibrated: whether its scores have a relevance; the calibration was fitted to text queries only.
        known: whether the model knows any word of it. Queries of unknown words only all have the same vector.
        unknown_words: words that were in no training caption, each once.
        cut_words: words beyond the maximum length of a text.
        terms: terms of the query; empty if only the vector is known.
    """

    vector: Embeddings
    calibrated: bool
    known: bool = True
    unknown_words: tuple[str, ...] = ()
    cut_words: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()


def picture_query(vector: Embeddings, calibrated: bool = False) -> Query:
    """The query of one picture.

    Args:
        vector: ``[embed_dim]`` of unit length.
        calibrated: True where texts are ranked, since the calibration holds for pairs of a text and a picture.
    """
    return Query(vector, calibrated)


def embed_queries(queries: Sequence[Sequence[Term]], encoder: Encoder) -> list[Query]:
    """Each query becomes the weighted sum of its terms; all texts are embedded together.

    Raises:
        SearchError: a picture cannot be read, or the terms of a query cancel out.
    """
    texts = iter(encoder.encode_texts([term.text for terms in queries for term in terms if term.text is not None]))
    embedded = []
    for terms in queries:
        vector = np.zeros(encoder.bundle.embed_dim, dtype=np.float32)
        for term in terms:
            vector += term.weight * (next(texts) if term.picture is None else embed_picture(term.picture, encoder))
        only_text = all(term.picture is None for term in terms)
        known = not only_text or any(encoder.tokenizer.knows(term.text or "") for term in terms)
        embedded.append(Query(_unit(vector), only_text, known, *unread_words(terms, encoder.tokenizer), tuple(terms)))
    return embedded


def unread_words(terms: Sequence[Term], tokenizer: Tokenizer) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of a query that the model does not know, each once, and the words that it does not read."""
    texts = [term.text for term in terms if term.text is not None]
    unknown = dict.fromkeys(word for text in texts for word in tokenizer.unknown_words(text))
    return tuple(unknown), tuple(word for text in texts for word in tokenizer.cut_words(text))


def query_notes(terms: Sequence[Term], tokenizer: Tokenizer) -> list[str]:
    """Sentences for the user about words that the model does not know or does not read; empty if there are none."""
    unknown, cut = unread_words(terms, tokenizer)
    notes = []
    if unknown:
        notes.append(f"Words not in the model's vocabulary: {', '.join(unknown)}")
    if cut:
        limit = tokenizer.vocabulary.max_length
        notes.append(f"The query is too long for the model ({limit} tokens); not read: {' '.join(cut)}")
    return notes


def embed_picture(source: Path | bytes, encoder: Encoder, max_pixels: int = MAX_PIXELS) -> Embeddings:
    """One picture → ``[embed_dim]`` of unit length.

    Raises:
        SearchError: the picture cannot be read.
    """
    preprocess = encoder.bundle.preprocess
    try:
        image = open_image(source, preprocess.image_size, max_pixels)
    except ValueError as error:
        name = source if isinstance(source, Path) else "The picture"
        raise SearchError(f"{name} cannot be read: {error}") from error
    embedding: Embeddings = encoder.encode_images([preprocess.pixels(image)])[0]
    return embedding


def _unit(vector: Embeddings) -> Embeddings:
    """Scale a vector to length one.

    Raises:
        SearchError: the length of the vector is zero.
    """
    length = math.sqrt(float(vector @ vector))
    if not length > 1e-6:
        raise SearchError("The parts of the query cancel each other out")
    return vector / np.float32(length)
