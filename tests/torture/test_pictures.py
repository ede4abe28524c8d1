"""A folder of damaged pictures: what can be shown is indexed, all else is left out with a reason, nothing stops."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import pytest
from PIL import Image

from imtext.search import Bundle, Index
from tests.conftest import picture
from tests.search.index.shoebox import encoded
from tests.torture.amounts import amount, write_down

PICTURES = amount(80, 5_000)
KINDS = {
    "JPEG": "jpg", "PNG": "png", "TIFF": "tif", "WEBP": "webp", "BMP": "bmp", "GIF": "gif", "HEIF": "heic",
    "AVIF": "avif",
}  # fmt: skip

pytestmark = pytest.mark.slow


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The content with bytes changed, a part removed, or the end missing."""
    changed = bytearray(content)
    how = chance.randrange(3)
    if how == 0:
        for _ in range(chance.randint(1, 30)):
            changed[chance.randrange(min(chance.choice([64, 512, 10**9]), len(changed)))] = chance.randrange(256)
    elif how == 1:
        start = chance.randrange(len(changed))
        del changed[start : start + chance.randint(1, 200)]
    else:
        del changed[chance.randrange(len(changed)) :]
    return bytes(changed)


def test_in_a_folder(bundle: Bundle, tmp_path: Path) -> None:
    chance, folder = random.Random(0), tmp_path / "pictures"
    folder.mkdir()
    noise = Image.effect_noise((60, 40), 90)
    colours = Image.merge("RGB", (noise, noise.transpose(Image.Transpose.ROTATE_180), noise))
    seeds = {ending: encoded(colours, kind) for kind, ending in KINDS.items()}
    for number in range(PICTURES):
        ending = chance.choice(list(seeds))
        (folder / f"{number:04}.{ending}").write_bytes(damaged(seeds[ending], chance))
    good = [picture(folder / f"good {number}.png", number) for number in range(5)]
    index = Index.create(tmp_path / "index", bundle)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = index.update([str(folder)])
    held = {file.path: file.reason for file in index.store.files()}
    assert len(held) + sum(report.other.values()) == PICTURES + len(good)
    assert all(held[str(path)] == "" for path in good)
    again = index.update()
    assert (again.added, again.refused, again.unchanged) == (0, {}, sum(not reason for reason in held.values()))
    index.close()
    shown = sum(not reason for reason in held.values()) - len(good)
    write_down(f"{PICTURES:,} damaged pictures: {shown:,} could be shown, the others were left out")
