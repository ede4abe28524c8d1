"""`imtext demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from imtext.cli.options import BundleOption, find_bundle
from imtext.cli.printing import print_results, write_page

SEED = 7


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder for the pictures and their index.")] = Path("imtext-demo"),
    bundle: BundleOption = None,
    pictures: Annotated[int, typer.Option(min=1, max=10_000, help="Number of pictures to draw.")] = 200,
    open_sheet: Annotated[bool, typer.Option("--open", help="Show the results in the browser.")] = False,
) -> None:
    """Draw a small gallery of shapes, index it and search it."""
    import numpy as np

    from imtext.data.scenes import describe, draw, random_scene
    from imtext.search import Index, load_bundle, parse_query

    model = load_bundle(find_bundle(bundle))
    rng = np.random.default_rng(SEED)
    gallery = folder / "pictures"
    gallery.mkdir(parents=True, exist_ok=True)
    scenes = [random_scene(rng) for _ in range(pictures)]
    for number, scene in enumerate(scenes):
        draw(scene, rng).save(gallery / f"{number:04}.png")
    opened = Index.create(folder / "index", model, rebuild=True)
    report = opened.update([str(gallery)])
    print(f"{len(opened):,} drawn pictures indexed in {report.seconds:.1f} s: {folder / 'index'}")
    queries = [describe(scene, rng)[0].strip(" .") for scene in scenes[1:4]]  # 0001.png to 0003.png should come first
    found = list(zip(queries, opened.search_batch([parse_query(query) for query in queries], 3, None), strict=True))
    for query, best in found:
        print(f"\n# {query}")
        print_results(best, len(opened), preview=sys.stdout.isatty())
    print()
    write_page(folder / "results.html", found, open_sheet)
    print(f'Search yourself: imtext search --index {folder / "index"} "two green triangles"')
