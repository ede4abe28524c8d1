"""Your own pairs: a captions file beside a folder of pictures, or any captioned data set of the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from imtext.data.captions import CaptionedImages, Split
from imtext.data.datamodule import RetrievalDataModule
from imtext.data.reading.arrow import from_datasets
from imtext.data.reading.columns import CAPTION_NAMES, SPLIT_NAMES, caption_columns, captions_of, require_column
from imtext.data.reading.files import from_files
from imtext.data.reading.hub import load_hub, load_parquet
from imtext.data.reading.tables import read_table
from imtext.errors import DataError


class Table(RetrievalDataModule):
    """Any captions table.

    Args:
        path: a .csv, .tsv, .jsonl or .json file with one row per image or per caption, or a folder of
            parquet files.
        hub_name: instead of `path`, a data set on the Hugging Face hub.
        hub_config: its configuration, if it has several.
        image_column: column of picture paths (on the hub and in parquet files: of pictures).
        caption_columns: one or more columns, each of a caption or a list of them; None takes all that
            are called caption(s), caption_…, sentence(s) or text.
        split_column: column with the split (train, val or test), for `split=official`.
        image_root: folder that relative picture paths start from; None: the folder of the captions file.
        common: settings shared by all data sets, see `RetrievalDataModule`.
    """

    def __init__(
        self,
        path: str | None = None,
        hub_name: str | None = None,
        hub_config: str | None = None,
        image_column: str = "image",
        caption_columns: Sequence[str] | None = None,
        split_column: str | None = None,
        image_root: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if (path is None) == (hub_name is None):
            raise DataError("data=table needs your captions: either data.path=<file> or data.hub_name=<owner/name>")
        if (split_column or image_root) and (path is None or Path(path).expanduser().is_dir()):
            raise DataError(
                "data.split_column and data.image_root apply to captions files only, not to the hub and parquet files"
            )
        if split_column and self.split_rule != "official":
            raise DataError(f"data.split_column={split_column} is only read with data.split=official")
        self.path, self.hub_name, self.hub_config, self.image_root = path, hub_name, hub_config, image_root
        self.image_column, self.split_column = image_column, split_column
        self.caption_columns = list(caption_columns) if caption_columns else None

    def load_source(self) -> CaptionedImages:
        """Read captions and find the pictures."""
        size = self.preprocess.image_size
        if self.path is None:
            assert self.hub_name is not None
            dataset, source = load_hub(self.hub_name, self.hub_config), f"hub:{self.hub_name}"
            return from_datasets(dataset, self.image_column, self.caption_columns, source, size)
        path = Path(self.path).expanduser()
        if path.is_dir():
            return from_datasets(load_parquet(path), self.image_column, self.caption_columns, str(path), size)
        wanted = (self.image_column, self.split_column, *(self.caption_columns or CAPTION_NAMES))
        table = read_table(path, [name for name in wanted if name is not None])
        rows, columns = table.rows, table.columns
        texts = caption_columns(columns, self.caption_columns, str(path)) if rows else []
        if rows:
            require_column(self.image_column, columns, str(path), "data.image_column")
        if rows and self.split_column is not None:
            require_column(self.split_column, columns, str(path), "data.split_column")
        root = Path(self.image_root).expanduser() if self.image_root else path.parent
        images = from_files(
            ((str(row[self.image_column]), captions_of(row, texts), self._split_of(row)) for row in rows),
            root,
            str(path),
            size,
        )
        return replace(images, note=table.note)

    def _split_of(self, row: dict[str, Any]) -> Split | None:
        if self.split_column is None:
            return None
        name = str(row[self.split_column]).strip().lower()
        if name not in SPLIT_NAMES:
            raise DataError(
                f"{self.path}: unknown split {name!r} in column {self.split_column!r}; use {', '.join(SPLIT_NAMES)}"
            )
        return SPLIT_NAMES[name]
