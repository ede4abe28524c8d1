"""`imtext calibrate`."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from imtext.cli.options import IndexOption, find_index
from imtext.errors import BundleError


def calibrate(
    data: Annotated[Path, typer.Option(help="A .csv, .tsv, .jsonl or .json file with the columns image and caption.")],
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[BUNDLE|INDEX]",
            help="A bundle, or an index, whose own copy is calibrated. Default: the index as for search.",
        ),
    ] = None,
    index: IndexOption = None,
    image_root: Annotated[
        Path | None, typer.Option(help="Folder that relative paths start from. Default: that of the file.")
    ] = None,
) -> None:
    """Give a bundle per cents: how likely a picture with a score is what a text describes.

    Needs 20 pictures with captions of any kind; some hundred are good. Nothing has to be indexed again.
    """
    from imtext.evaluation.recalibrate import calibrate as measure
    from imtext.evaluation.recalibrate import read_pairs
    from imtext.search import Encoder, Index, load_bundle
    from imtext.search.bundle import calibrate_bundle
    from imtext.search.index import own_bundle
    from imtext.search.index.folder import only_writer
    from imtext.search.pretrained import named_bundle

    pairs = read_pairs(data, image_root)
    print(f"Embedding pictures and captions of {data} …", file=sys.stderr)
    target = find_index(path, index)
    is_index = Index.exists(target)
    if path is None and not is_index:
        raise BundleError(f"There is no index in {target}. Name the bundle: imtext calibrate <bundle> --data {data}")
    with only_writer(target) if is_index else nullcontext():
        folder = own_bundle(target) if is_index else None
        opened = load_bundle(folder or named_bundle(target))
        measured = measure(Encoder(opened), pairs)
        calibrate_bundle(opened, measured.calibration, measured.reranked)
    calibration = measured.reranked or measured.calibration
    print(f"Calibrated: {opened.path}")
    print(
        f"{measured.pictures:,} pictures, {measured.captions:,} captions; R@10 text→image {100 * measured.recall:.1f} %"
    )
    print(
        f"relevance    shown from {100 * calibration.min_relevance:.0f} % on, calibration error "
        f"{100 * calibration.error:.1f} points; {100 * calibration.refused:.0f} % of queries without a match "
        "get no result"
    )
    if not is_index:
        print("An index keeps its own copy of the bundle: to calibrate that, name the index")
