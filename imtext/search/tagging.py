"""Tag pictures with given labels, which the model was not trained for (zero-shot classification)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imtext.errors import SearchError
from imtext.search.encoder import Embeddings, Encoder
from imtext.search.query import picture_query
from imtext.search.ranking import rank_vectors
from imtext.search.results import RankedText

# A label alone is not what models have seen in training; the mean over several sentences is better than any of them
# (Radford et al., "Learning transferable visual models from natural language supervision", 2021).
TEMPLATES = ("a photo of a {}", "a picture of {}", "{}")


class Tagger:
    """Ranks labels for pictures.

    Args:
        encoder: encoder of a bundle.
        labels: what pictures may show, such as `beach` or `dog`.
        templates: sentences with ``{}`` in place of the label; a label is the mean of their embeddings.

    Raises:
        SearchError: there is no label, or a template without ``{}``.
    """

    def __init__(self, encoder: Encoder, labels: Sequence[str], templates: Sequence[str] = TEMPLATES) -> None:
        self.encoder = encoder
        self.labels = list(dict.fromkeys(label.strip() for label in labels if label.strip()))
        if not self.labels:
            raise SearchError("There are no labels. Name some: --labels beach,dog,mountains")
        if wrong := [template for template in templates if "{}" not in template]:
            raise SearchError(f"The template {wrong[0]!r} has no {{}} for the label, as in 'a photo of a {{}}'")
        texts = [template.replace("{}", label) for label in self.labels for template in templates]
        vectors = encoder.encode_texts(texts).reshape(len(self.labels), len(templates), -1).mean(axis=1)
        self.vectors: Embeddings = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self.known = [encoder.tokenizer.knows(label) for label in self.labels]

    def tag(self, picture: Embeddings, top_k: int | None = None) -> list[RankedText]:
        """Labels for one picture, best first.

        Args:
            picture: ``[embed_dim]`` of unit length.
            top_k: maximum number of labels; None: all.
        """
        query, calibration = picture_query(picture, calibrated=True), self.encoder.bundle.calibration
        matches = rank_vectors(query, self.vectors, calibration, top_k, self.known, names=self.labels)
        return [RankedText(self.labels[match.place], match.score, match.relevance, match.place) for match in matches]
