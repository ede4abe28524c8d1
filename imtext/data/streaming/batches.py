"""Samples of a stream as a batch, by the code that makes the batches of finite data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imtext.data.augment import Augment
from imtext.data.batch import Batch, BatchKey
from imtext.data.dataset import RetrievalDataset
from imtext.data.pictures import Pictures
from imtext.data.scales import Scales
from imtext.data.shared_texts import SharedTexts
from imtext.data.streaming.samples import MOST_CAPTIONS, Decoded
from imtext.preprocess import Preprocess
from imtext.preprocess.cleaning import canonical
from imtext.preprocess.tokenizer import Tokenizer

EVERY = range(2**63 - 1)  # the number of a sample is its position


@dataclass(frozen=True)
class BatchMaker:
    """Makes batches from decoded samples; see `RetrievalDataset` for what the settings mean.

    A sample that comes twice is in the batch once.
    """

    preprocess: Preprocess
    tokenizer: Tokenizer
    augment: Augment | None = None
    captions_per_image: int | None = None
    scales: Scales | None = None
    seed: int = 0

    def __call__(self, samples: Sequence[Decoded], epoch: int) -> Batch:
        """The batch of these samples. Random choices depend on the seed, the epoch and the sample."""
        pixels = {sample.number: sample.pixels for sample in samples}
        captions = {sample.number: sample.captions for sample in samples}
        dataset = RetrievalDataset(
            [(0, Pictures(pixels, self.preprocess, self.augment))],
            captions,
            EVERY,
            self.tokenizer,
            captions_per_image=self.captions_per_image,
            scales=self.scales,
            shared=text_ids(captions),
            seed=self.seed,
        )
        return dataset[BatchKey(epoch, tuple(pixels))]


def text_ids(captions: Mapping[int, Sequence[str]]) -> SharedTexts:
    """Ids of all texts, the same in every process: which texts the rest of a stream has is not known.

    Texts are equal as in `find_shared_texts`. Ids are hashes of 63 bits.

    Args:
        captions: captions by number of the sample, at most `MOST_CAPTIONS` each.
    """
    cleaning = canonical()

    def text_id(text: str) -> int:
        same = cleaning.normalize_str(text) or text
        return int.from_bytes(hashlib.blake2b(same.encode(), digest_size=8).digest(), "little") >> 1

    ids = {number: [text_id(text) for text in texts] for number, texts in captions.items()}
    return SharedTexts(ids, most=MOST_CAPTIONS)  # a fixed width, so that batches of several processes fit together
