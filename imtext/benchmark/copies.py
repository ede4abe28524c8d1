"""How many copies of real photos are recognised by their hash, and how many other photos are mistaken for copies."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from imtext.preprocess import open_image
from imtext.search.facts import Facts
from imtext.search.hashing import BITS, close_pairs, distances, hash_picture, to_words
from imtext.search.index.discovery import find
from imtext.search.index.duplicates import MOST_BITS, find_duplicates
from imtext.search.store import File, Picture, create_store

Change = Callable[[Image.Image], Image.Image]


def _saved(quality: int, image: Image.Image) -> Image.Image:
    image.save(buffer := io.BytesIO(), "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _scaled(factor: float, image: Image.Image) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def _cropped(share: float, image: Image.Image) -> Image.Image:
    """Without a share of the left and the lower border, and half as much of the others."""
    width, height = image.size
    return image.crop(
        (int(width * share), int(height * share / 2), width - int(width * share / 2), height - int(height * share))
    )


def _turned(degrees: float, image: Image.Image) -> Image.Image:
    return image.rotate(degrees, Image.Resampling.BICUBIC)


CHANGES: dict[str, Change] = {
    "JPEG, quality 70": partial(_saved, 70),
    "JPEG, quality 40": partial(_saved, 40),
    "half the size": partial(_scaled, 0.5),
    "a quarter of the size": partial(_scaled, 0.25),
    "by a messenger: 3/4 of the size, quality 70": lambda image: _saved(70, _scaled(0.75, image)),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "brightness + 10 %": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "contrast + 20 %": lambda image: ImageEnhance.Contrast(image).enhance(1.2),
    "cropped by 2 %": partial(_cropped, 0.02),
    "cropped by 3 %": partial(_cropped, 0.03),
    "cropped by 5 %": partial(_cropped, 0.05),
    "turned by 1°": partial(_turned, 1),
    "turned by 2°": partial(_turned, 2),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


def benchmark_copies(pictures: Path, count: int, made_up: int = 100_000, seed: int = 0) -> dict[str, Any]:
    """Change real photos and compare hashes; group an index of made-up pictures.

    Args:
        pictures: folder of photos, all different.
        count: number of photos to change, chosen at random.
        made_up: number of pictures in the index whose duplicates are looked for.
        seed: random seed of the choice.

    Returns:
        `rows`: for each change the share of copies that are recognised, and percentiles of the distance in bits;
        `pairs`, `mistaken`, `closest`: pairs of different photos, those that pass for copies, and the least distance;
        `plain`: photos without a hash; `made_up`, `seconds`: the size of an index and the processor time to group it.
    """
    paths = sorted(find([str(pictures)]).files)
    hashes = [hash_picture(open_image(Path(path))) for path in paths]
    known = [number for number, digest in enumerate(hashes) if digest]
    words = to_words([hashes[number] for number in known])
    closest = [distances(words[:, [row]], words[:, row + 1 :]).min(initial=BITS) for row in range(len(known))]
    mistaken = sum(len(first) for first, _ in close_pairs(words, MOST_BITS))
    chosen = np.random.default_rng(seed).permutation(known)[:count].tolist()
    rows = []
    for name, change in CHANGES.items():
        copies = [hash_picture(change(open_image(Path(paths[number])))) for number in chosen]
        apart = np.array([_distance(copy, hashes[number]) for copy, number in zip(copies, chosen, strict=True)])
        found = float((apart <= MOST_BITS).mean())
        rows.append({"change": name, "found": found, "p50": np.median(apart), "p99": np.percentile(apart, 99)})
    return {
        "photos": len(paths), "plain": len(paths) - len(known), "copies": len(chosen), "rows": rows,
        "pairs": len(known) * (len(known) - 1) // 2, "mistaken": mistaken, "closest": int(min(closest, default=BITS)),
        "made_up": made_up, "seconds": _seconds_to_group(made_up),
    }  # fmt: skip


def _distance(copy: bytes, original: bytes) -> int:
    """Bits in which two hashes differ; a copy without a hash is not recognised."""
    return int(distances(to_words([copy]), to_words([original]))[0, 0]) if copy else BITS


def _seconds_to_group(count: int) -> float:
    """Processor time, of all cores together, to find all groups in an index of pictures with random hashes."""
    rng = np.random.default_rng(0)
    contents = [number.to_bytes(16) for number in range(count)]
    with TemporaryDirectory(prefix="imtext-benchmark-") as folder:
        store = create_store(folder, 2)
        store.commit(
            (Picture(content, np.array([1, 0], np.float32)) for content in contents),
            (File(f"/{number}.jpg", 1, 1, content) for number, content in enumerate(contents)),
            facts={content: Facts(4000, 3000, hash=rng.bytes(BITS // 8)) for content in contents},
        )
        store.refresh()
        started = time.process_time()
        find_duplicates(store)
        seconds = time.process_time() - started
        store.close()
    return seconds


def print_copies(found: dict[str, Any]) -> None:
    """Print the result of `benchmark_copies`."""
    print(f"{found['copies']:,} of {found['photos']:,} photos, changed; {found['plain']:,} are too plain for a hash")
    for row in found["rows"]:
        print(f"  {row['change']:<44} {row['found']:6.1%} found   bits {row['p50']:3.0f} (99 %: {row['p99']:.0f})")
    print(
        f"{found['mistaken']:,} of {found['pairs']:,} pairs of different photos pass for copies "
        f"(limit {MOST_BITS} bits; the closest pair: {found['closest']})"
    )
    print(f"Groups of {found['made_up']:,} made-up pictures: {found['seconds']:.1f} s of processor time")
