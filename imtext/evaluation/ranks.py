"""The rank of every query, as lines of JSON: which pictures and captions a model finds, and which it does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from imtext.evaluation.metrics import RetrievalMetrics, retrieval_ranks


def write_ranks(path: Path, metrics: RetrievalMetrics, captions: Sequence[Sequence[str]], names: Sequence[str]) -> None:
    """Write one line per query: the rank of its first correct result, 1 is best.

    Args:
        path: of the file.
        metrics: hold the embeddings of a split.
        captions: of every image of the data set; `image_id` counts in it.
        names: of every image of the data set.
    """
    images, texts, image_id, caption_image_id = metrics.gathered()
    ranks = {name: rank.tolist() for name, rank in retrieval_ranks(images, texts, image_id, caption_image_id).items()}
    queries = [text for row in image_id.tolist() for text in captions[row]]
    with path.open("w") as file:
        for query, row, rank in zip(queries, caption_image_id.tolist(), ranks["t2i"], strict=True):
            file.write(json.dumps({"direction": "t2i", "image": names[row], "query": query, "rank": rank}) + "\n")
        for row, rank in zip(image_id.tolist(), ranks["i2t"], strict=True):
            file.write(json.dumps({"direction": "i2t", "image": names[row], "rank": rank}) + "\n")
