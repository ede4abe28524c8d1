"""One order of pictures that the model finds and pictures that words belong to: weighted reciprocal rank fusion."""

from __future__ import annotations

from collections.abc import Sequence

from imtext.search.store.records import WordMatch

DEPTH = 100  # pictures of the model's order that are fused, so that the first results do not depend on `top_k`
K = 60  # of Cormack, Clarke and Büttcher (2009): how slowly places lose weight
NAMED = 2.0  # weight of a picture with all words: the first one comes before everything that the model finds
# Of a picture with some of the words, half of the square of their share. Measured with captions of Flickr8K: larger
# weights gain no R@10 where names are telling, and lose R@1.
SOME = 0.5


def fuse(ids: Sequence[int], matches: Sequence[WordMatch]) -> list[int]:
    """Order pictures by ``1 / (K + place)`` of the model plus ``weight / (K + place)`` of the words, best first.

    With some of the words, a picture moves up among those that the model finds. Words alone find a picture only if it
    has all of them.

    Args:
        ids: the best pictures of the model, best first.
        matches: pictures with words of the query, best first.

    Returns:
        Ids of both, each once.
    """
    places = {id: place for place, id in enumerate(ids, 1)}
    fused = {id: 1 / (K + place) for id, place in places.items()}
    for place, match in enumerate(matches, 1):
        if match.share == 1 or match.id in places:
            weight = NAMED if match.share == 1 else SOME * match.share**2
            fused[match.id] = fused.get(match.id, 0.0) + weight / (K + place)
    return sorted(fused, key=lambda id: -fused[id])
