"""Flickr8K: 8,000 photographs of people and animals in action, five captions each (Hodosh et al., 2013)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imtext.data.captions import HINT, CaptionedImages, Split
from imtext.data.datamodule import RetrievalDataModule
from imtext.data.reading.arrow import from_datasets
from imtext.data.reading.files import from_files
from imtext.data.reading.hub import load_hub, load_parquet
from imtext.data.reading.tables import read_table
from imtext.errors import DataError

# The lists of file names that come with the original text archive.
OFFICIAL_LISTS: dict[Split, str] = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}


class Flickr8k(RetrievalDataModule):
    """Flickr8K from the hub or from a folder.

    Args:
        path: None downloads `hub_name` once. A folder holds either parquet files with the hub's columns
            (`image`, `caption_0` … `caption_4`; any of the splits), or `Images/` and `captions.txt` from the
            original zip file; `split=official` also needs the three `Flickr_8k.*Images.txt` lists.
        hub_name: data set on the Hugging Face hub.
        common: settings shared by all data sets, see `RetrievalDataModule`.
    """

    def __init__(self, path: str | None = None, hub_name: str = "jxie/flickr8k", **common: Any) -> None:
        super().__init__(**common)
        self.path, self.hub_name = path, hub_name

    def load_source(self) -> CaptionedImages:
        """Read the captions and find the pictures."""
        size = self.preprocess.image_size
        if self.path is None:
            return from_datasets(load_hub(self.hub_name), "image", None, f"hub:{self.hub_name}", size)
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            raise DataError(f"There is no folder at {folder.absolute()}. {HINT}")
        if any(folder.rglob("*.parquet")):
            return from_datasets(load_parquet(folder), "image", None, str(folder), size)
        images = next((folder / name for name in ("Images", "Flicker8k_Dataset") if (folder / name).is_dir()), None)
        if images is None or not (folder / "captions.txt").is_file():
            raise DataError(
                f"{folder.absolute()} is not a copy of Flickr8K: it holds neither parquet files nor Images/ and "
                f"captions.txt. {HINT}"
            )
        split_of: dict[str, Split] = {}
        for split, file in OFFICIAL_LISTS.items():
            if (folder / file).is_file():
                split_of |= dict.fromkeys((folder / file).read_text().split(), split)
        rows = read_table(folder / "captions.txt").rows
        if rows and set(rows[0]) != {"image", "caption"}:
            raise DataError(f"{folder / 'captions.txt'} must begin with the line `image,caption`")
        return from_files(
            ((row["image"], [row["caption"]], split_of.get(row["image"])) for row in rows), images, str(folder), size
        )
