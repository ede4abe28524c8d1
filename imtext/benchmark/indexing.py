"""The speed of indexing, compared with a plain loop in torch."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from imtext.benchmark.speed import peak_memory
from imtext.search import Bundle, Index
from imtext.search.index.discovery import find

FLICKR = (500, 375)  # width and height in pixels of Flickr's photos
ROUNDS = 3
IN_FOLDER = 500  # unchanged files


def benchmark_index(
    bundle: Bundle,
    pictures: Path | None,
    count: int,
    size: tuple[int, int] = FLICKR,
    unchanged: int = 10_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Index pictures, index them again unchanged, and do the same work in a plain torch loop.

    Index and plain loop take turns, and the medians are reported. The plain loop opens, resizes and embeds one picture
    after the other with the same network.

    Args:
        bundle: the model.
        pictures: folder of photos; None generates some.
        count: number of generated pictures.
        size: their width and height in pixels.
        unchanged: number of files of the second measurement, links to the pictures.
        seed: random seed of the generated pictures.

    Returns:
        `images_per_second`, `plain_per_second` and their `ratio`; `unchanged_seconds` for that many `unchanged`
        files; peak `memory` in bytes.
    """
    with TemporaryDirectory(prefix="imtext-benchmark-") as name:
        folder = Path(name)
        if pictures is None:
            pictures = folder / "pictures"
            generate_pictures(pictures, count, seed, size)
        files = [Path(path) for path in find([str(pictures)]).files]
        ours, theirs = [], []
        for number in range(ROUNDS):
            index = Index.create(folder / f"index{number}", bundle)
            started = time.perf_counter()
            report = index.update([str(pictures)])
            ours.append(report.added / (time.perf_counter() - started))
            theirs.append(_plain_loop(files[: max(50, len(files) // 4)], bundle))
        links = folder / "links"
        for number in range(unchanged):
            link = links / str(number // IN_FOLDER) / f"{number}.jpg"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(files[number % len(files)].absolute())
        index.update([str(links)])
        started = time.perf_counter()
        second = index.update([str(links)])
        seconds = time.perf_counter() - started
        assert second.unchanged == unchanged
    return {
        "pictures": len(files), "images_per_second": float(np.median(ours)),
        "plain_per_second": float(np.median(theirs)), "ratio": float(np.median(np.divide(ours, theirs))),
        "unchanged": unchanged, "unchanged_seconds": seconds, "memory": peak_memory(),
    }  # fmt: skip


def _plain_loop(files: list[Path], bundle: Bundle) -> float:
    """Pictures per second."""
    import torch
    from torch import nn
    from torchvision.models import mobilenet_v3_small

    size = bundle.preprocess.image_size
    mean, std = (
        torch.tensor(values)[:, None, None] for values in (bundle.preprocess.image_mean, bundle.preprocess.image_std)
    )
    # The image tower of the default model, whatever the bundle holds; random weights take the same time.
    features = mobilenet_v3_small(weights=None).features
    model = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(576, bundle.embed_dim)).eval()
    views = 2 if bundle.manifest["mirror"] else 1
    started = time.perf_counter()
    with torch.inference_mode():
        for path in files:
            pixels = np.asarray(Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BICUBIC))
            image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
            normalized = ((image - mean) / std)[None]
            for view in (normalized, normalized.flip(-1))[:views]:
                model(view).numpy()
    return len(files) / (time.perf_counter() - started)


def generate_pictures(folder: Path, count: int, seed: int, size: tuple[int, int] = FLICKR) -> None:
    """Generate pictures with as many pixels and bytes as photos: soft shapes with some noise."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(count):
        soft = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
        noise = rng.normal(0, 12, (size[1], size[0], 1))
        Image.fromarray(np.clip(np.asarray(soft) + noise, 0, 255).astype(np.uint8)).save(
            folder / f"{number}.jpg", quality=88
        )


def print_index(found: dict[str, Any]) -> None:
    """Print the result of `benchmark_index`."""
    print(
        f"{found['pictures']:,} pictures: {found['images_per_second']:.0f} pictures/s; plain torch loop "
        f"{found['plain_per_second']:.0f} pictures/s; {found['ratio']:.1f} × as fast (medians of {ROUNDS})\n"
        f"{found['unchanged']:,} unchanged files: {found['unchanged_seconds']:.2f} s. "
        f"Peak memory {found['memory'] / 1e6:.0f} MB, torch included."
    )
