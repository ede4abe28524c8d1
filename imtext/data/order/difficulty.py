"""How difficult training pictures are, told by their captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from imtext.preprocess.tokenizer import Tokenizer

Difficulties = npt.NDArray[np.float64]  # [pictures], higher is harder
Tokenised = Sequence[Sequence[Sequence[int]]]  # picture → caption → ids, without special tokens


def tokenise(captions: Sequence[Sequence[str]], tokenizer: Tokenizer) -> Tokenised:
    """The token ids of captions, without the special tokens that every text has."""
    ids, mask = tokenizer([""])
    special = set(ids[mask].tolist())

    def read(texts: Sequence[str]) -> list[list[int]]:
        tokens = zip(*tokenizer(texts), strict=True)
        return [[number for number in ids[mask].tolist() if number not in special] for ids, mask in tokens]

    return [read(texts) for texts in captions]


def rarity(tokens: Tokenised) -> Difficulties:
    """Mean negative logarithm of the frequency, in all captions, of the tokens of a picture's captions.

    The measure of Platanios et al., 2019, as a mean, so that long captions are not rare for their length.
    """
    everything = [np.array([number for caption in each for number in caption], dtype=np.int64) for each in tokens]
    counts = np.bincount(np.concatenate(everything), minlength=1)
    total = max(1, counts.sum())
    return np.array([-np.log(counts[each] / total).mean() if len(each) else 0.0 for each in everything])


def length(tokens: Tokenised) -> Difficulties:
    """Mean number of tokens of a picture's captions."""
    return np.array([np.mean([len(caption) for caption in each]) for each in tokens])


def agreement(tokens: Tokenised) -> Difficulties:
    """1 - the mean overlap (Jaccard index) of the words of two captions of a picture.

    Captions that say different things describe a picture with much in it. Pictures with one caption get the mean of the
    others, of which there must be one.
    """

    def disagreement(captions: Sequence[Sequence[int]]) -> float:
        pairs = [(set(one), set(other)) for one, other in combinations(captions, 2)]
        overlaps = [len(one & other) / max(1, len(one | other)) for one, other in pairs]
        return 1 - float(np.mean(overlaps)) if overlaps else np.nan

    found = np.array([disagreement(captions) for captions in tokens])
    return np.where(np.isnan(found), np.nanmean(found), found)


MEASURES: dict[str, Callable[[Tokenised], Difficulties]] = {
    "rarity": rarity,
    "length": length,
    "agreement": agreement,
}
