"""The targets of a batch."""

from __future__ import annotations

from imtext.data.batch import Batch
from imtext.losses import Targets
from imtext.training.distributed import gather


def targets_of(batch: Batch, everywhere: bool = True) -> Targets:
    """Which captions describe which images.

    A caption describes its own image, and every image that has a caption of the same text: equal texts cannot be told
    apart, so they must not be negatives. This also holds if the other image's caption is not part of the batch.

    Args:
        batch: of this process.
        everywhere: for the images and captions of all processes, in the order of `gather`; otherwise for the batch of
            this process only.
    """
    collect = gather if everywhere else lambda tensor: tensor
    positive = collect(batch["image_id"])[:, None] == collect(batch["caption_image_id"])[None, :]
    if batch["image_text_ids"].shape[1] > 0:  # of the whole data set, so all processes agree
        texts, caption_text = collect(batch["image_text_ids"]), collect(batch["caption_text_id"])
        for text in texts.unbind(1):  # one column at a time: no array of three dimensions
            positive = positive | (text[:, None] == caption_text[None, :])
    return Targets(positive)
