"""Images with their captions, as every data source returns them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from imtext.errors import DataError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
HINT = "Give a local folder or file with data.path=…, or try the embedded data set with data=shapes."


@dataclass(frozen=True)
class CaptionedImages:
    """N images with one or more captions each.

    Attributes:
        source: name of the source, for messages.
        captions: the captions (1 … n) of each image.
        names: a readable name of each image (a path, or `train/17`).
        load_image: row number → RGB picture; raises ValueError if it cannot be read.
        fingerprint: changes whenever a picture or a caption changes; part of the image cache's key.
        official: the source's own split (split name → row numbers), if it has one.
        note: added to the name in the log line of the data: how it was read, if not in the usual way.
    """

    source: str
    captions: Sequence[Sequence[str]]
    names: Sequence[str]
    load_image: Callable[[int], Image.Image]
    fingerprint: str
    official: dict[Split, list[int]] | None = None
    note: str = ""

    def __len__(self) -> int:
        return len(self.captions)

    def check(self) -> CaptionedImages:
        """Refuse an empty source and empty captions.

        Raises:
            DataError: the source is empty, or captions are empty; the message names the first images without captions.
        """
        if len(self) == 0:
            raise DataError(f"{self.source} holds no images. Check data.path, or try data=shapes.")
        empty = [
            name
            for name, captions in zip(self.names, self.captions, strict=True)
            if not captions or any(not caption.strip() for caption in captions)
        ]
        if empty:
            shown = ", ".join(empty[:5]) + (" …" if len(empty) > 5 else "")
            raise DataError(
                f"{len(empty)} of {len(self)} images in {self.source} have an empty caption: {shown}. "
                "Fill in or remove these rows, or pass data.skip_broken=true to ignore empty captions."
            )
        return self


def fingerprint(parts: Sequence[bytes | str]) -> str:
    """A short hash of the parts, in order."""
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))  # so that ["ab"] and ["a", "b"] differ
        digest.update(data)
    return digest.hexdigest()
