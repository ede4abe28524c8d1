"""Data sets: captions and pictures as batches. Each is a `LightningDataModule`: `Flickr8k`, `Table`, `Shapes`,
`WebDataset`.

The names below are imported on first use, so that `imtext.data.scenes` can be imported without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imtext.data.batch import Batch as Batch
    from imtext.data.datamodule import RetrievalDataModule as RetrievalDataModule
    from imtext.data.flickr8k import Flickr8k as Flickr8k
    from imtext.data.shapes import Shapes as Shapes
    from imtext.data.table import Table as Table
    from imtext.data.webdataset import WebDataset as WebDataset

_MODULES = {
    "Batch": "batch",
    "Flickr8k": "flickr8k",
    "RetrievalDataModule": "datamodule",
    "Shapes": "shapes",
    "Table": "table",
    "WebDataset": "webdataset",
}
__all__ = ["Batch", "Flickr8k", "RetrievalDataModule", "Shapes", "Table", "WebDataset"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
