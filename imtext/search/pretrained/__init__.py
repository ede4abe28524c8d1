"""Exported CLIP models of the hub become bundles, without torch: one file for each layout."""

from imtext.search.pretrained.layout import PRECISIONS, Precision
from imtext.search.pretrained.make import made_before, make_bundle, named_bundle
from imtext.search.pretrained.recommended import RECOMMENDED, START, Recommended
from imtext.search.pretrained.sources import Source, default_output, open_source

__all__ = [
    "PRECISIONS",
    "RECOMMENDED",
    "START",
    "Precision",
    "Recommended",
    "Source",
    "default_output",
    "made_before",
    "make_bundle",
    "named_bundle",
    "open_source",
]
