"""Data that is read once for several runs of one process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imtext.data.datamodule import RetrievalDataModule

# Settings of batches: they do not change what is read.
OF_BATCHES = {
    "augment", "batch_size", "cache_dir", "captions_per_image", "num_workers", "order", "scales", "seed", "shuffle"
}  # fmt: skip
# What `setup` finds out, and the word vectors, which are computed later.
READ = (
    "captions", "fingerprint", "names", "pixels", "rows", "shared_texts", "source", "_ready", "_teacher", "_tokenizer",
    "_word_vectors",
)  # fmt: skip


class ReadOnce:
    """Reads every data set once: a later module with the same settings takes over what an earlier one has read."""

    def __init__(self) -> None:
        self._read: dict[str, RetrievalDataModule] = {}

    def setup(self, data: RetrievalDataModule, settings: Mapping[str, Any]) -> None:
        """Do what ``data.setup()`` does.

        Args:
            data: after `use_model`.
            settings: those from which it was built, as plain values.

        Raises:
            ImtextError: see `RetrievalDataModule.setup`.
        """
        tokenizer = data._tokenizer.to_json() if data._tokenizer is not None else None  # of a pretrained text tower
        kept = {name: settings[name] for name in sorted(settings.keys() - OF_BATCHES)}
        key = str((kept, data.preprocess, tokenizer))
        if key not in self._read:
            data.setup()
            self._read[key] = data
            return
        if data.scales is not None:
            data.scales.check(data.preprocess.image_size)
        vars(data).update({name: vars(self._read[key])[name] for name in READ})
