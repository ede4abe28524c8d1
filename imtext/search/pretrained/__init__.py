"""Models of the hub: exported CLIP models become bundles, without torch; and bundles that others share."""

from imtext.search.pretrained.hub import pull_bundle, push_bundle, shared_output
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
    "pull_bundle",
    "push_bundle",
    "shared_output",
]
