"""From captions and pictures to batches. Each data set is a `LightningDataModule`: `Flickr8k`, `Table`, `Shapes`."""

from imtext.data.datamodule import RetrievalDataModule
from imtext.data.dataset import Batch
from imtext.data.flickr8k import Flickr8k
from imtext.data.shapes import Shapes
from imtext.data.table import Table
from imtext.data.tokenizer import CaptionTokenizer

__all__ = ["Batch", "CaptionTokenizer", "Flickr8k", "RetrievalDataModule", "Shapes", "Table"]
