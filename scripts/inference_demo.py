"""The Python API by example: rank pictures, index a folder, search it.

    python scripts/inference_demo.py --image-dir ~/Pictures --model-path runs/train/2026-11-23_18-21-07

`--model-path` is a bundle or the folder of a run (default: the newest). Without `--image-dir` the pictures are drawn.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import imtext
from imtext.errors import ImtextError
from imtext.search.index.discovery import find
from imtext.search.results import percent


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-dir", type=Path, help="folder of pictures (default: draw some)")
    parser.add_argument("--model-path", type=Path, help="a bundle or the folder of a run (default: the newest)")
    parser.add_argument("--query", default="a small red circle and a big blue star", help="text to search for")
    parser.add_argument("--top-k", type=int, default=5)
    args = parser.parse_args()
    try:
        with TemporaryDirectory() as folder:
            demonstrate(args.image_dir or _draw(Path(folder)), args.model_path, args.query, args.top_k)
    except ImtextError as error:
        raise SystemExit(f"error: {error}") from None


def demonstrate(image_dir: Path, model_path: Path | None, query: str, top_k: int) -> None:
    """Call each method of the predictor once."""
    predictor = imtext.create_predictor(model_path)
    paths = list(find([str(image_dir)]).files)

    print(f"\nThe first {len(paths[:20])} pictures, ranked for: {query}")
    for result in predictor.rank_images(text_query=query, image_paths=paths[:20], top_k=top_k):
        print(f"  {percent(result.relevance):>5}  {result.score:6.3f}  {result.path}")

    started = time.perf_counter()
    refused = predictor.build_image_database(paths)
    print(f"\n{len(paths) - len(refused)} pictures indexed in {time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    results = predictor.search_database(query, top_k=top_k)
    print(f"Searched in {1000 * (time.perf_counter() - started):.1f} ms:")
    for result in results:
        print(f"  {percent(result.relevance):>5}  {result.score:6.3f}  {result.path}")

    if results:
        texts = [query, "two children on a swing", "three yellow crosses"]
        print(f"\nTexts, ranked for {results[0].path}")
        for text in predictor.rank_texts(results[0].path, texts):
            print(f"  {percent(text.relevance):>5}  {text.score:6.3f}  {text.text}")


def _draw(folder: Path, count: int = 100) -> Path:
    import numpy as np

    from imtext.data.scenes import draw, random_scene

    rng = np.random.default_rng(0)
    for number in range(count):
        draw(random_scene(rng), rng).save(folder / f"{number:03}.png")
    return folder


if __name__ == "__main__":
    main()
