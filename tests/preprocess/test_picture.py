"""Converting any picture to model input."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imtext.errors import ConfigError
from imtext.preprocess import MAX_PIXELS, Interpolation, Preprocess, open_image
from tests.damage import damaged, fuzzed
from tests.search.index.shoebox import encoded
from tests.tiffs import dng, float_colours


def test_squash_keeps_the_whole_picture_and_crop_keeps_the_aspect_ratio() -> None:
    image = Image.new("RGB", (300, 100), "blue")
    image.paste("red", (0, 0, 100, 100))
    squashed, cropped = Preprocess(64).pixels(image), Preprocess(64, resize="crop").pixels(image)
    assert squashed.shape == cropped.shape == (64, 64, 3)
    assert squashed[32, 5, 0] > 200  # the red part is still there
    assert cropped[32, 5, 2] > 200  # the red part was cut off


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    kind = "TIFF" if mode in ("CMYK", "I;16") else "PNG"
    image = open_image(encoded(Image.new(mode, (40, 30)), kind))
    assert image.mode == "RGB"
    assert image.size == (40, 30)


def test_sixteen_bits_and_transparency_keep_their_meaning() -> None:
    ramp = np.linspace(0, 65_535, 64 * 64).reshape(64, 64).astype(np.uint16)
    shades = np.asarray(open_image(encoded(Image.fromarray(ramp), "PNG")))[..., 0]
    np.testing.assert_array_equal(shades, ramp >> 8)
    drawn = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    drawn.putpixel((2, 2), (255, 0, 0, 128))
    assert open_image(encoded(drawn, "PNG")).getpixel((1, 1)) == (255, 255, 255)
    assert open_image(encoded(drawn, "PNG")).getpixel((2, 2)) == (255, 127, 127)
    palette = Image.new("P", (4, 4))
    assert open_image(encoded(palette, "PNG", transparency=0)).getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports peak memory")
def test_transparency_takes_little_memory(tmp_path: Path) -> None:
    """A file of a few kilobytes can hold millions of pixels."""
    Image.new("P", (5000, 4000)).save(tmp_path / "20 megapixels.png", transparency=0)
    program = (
        "import re, sys; from pathlib import Path; from imtext.preprocess import open_image\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) / 1000\n"
        "before = peak(); open_image(Path(sys.argv[1])); print(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "20 megapixels.png"], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 190, "megabytes, for the palette picture, its colours with alpha, and the result"


def test_pictures_are_rotated_as_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert open_image(encoded(Image.new("RGB", (80, 40)), "JPEG", exif=exif)).size == (40, 80)


def test_large_jpegs_are_decoded_small() -> None:
    image = open_image(encoded(Image.new("RGB", (1600, 1200)), "JPEG"), target_size=224)
    assert 224 <= image.height < 1200


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a picture of these formats: JPEG, PNG"),
        (b"no picture at all", "not a picture of these formats: JPEG, PNG"),
        (b"\xff\xd8\xff", "a broken JPEG, or of an unusual kind"),
        (b"8BPS", "PSD, not a picture of these formats"),
        (float_colours(), "a broken TIFF, or of an unusual kind"),
        (encoded(Image.new("RGB", (40, 30)), "JXL")[:30], "a broken JXL, or of an unusual kind"),
    ],
)
def test_broken_pictures_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    for source in (content, tmp_path / "x.jpg"):
        with pytest.raises(ValueError, match=reason):
            open_image(source)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JXL"])
def test_the_content_tells_the_format(tmp_path: Path, kind: str) -> None:
    drawn = Image.new("RGB", (48, 32), "red")
    content = encoded(drawn, kind)
    (tmp_path / "a.txt").write_bytes(content)
    for source in (content, tmp_path / "a.txt"):
        image = open_image(source, target_size=24)
        assert image.size in ((48, 32), (36, 24), (24, 16))
        red, green, blue = np.asarray(image)[8, 8]
        assert red > 240
        assert max(green, blue) < 15


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imtext.preprocess.formats._is_installed", lambda module: False)
    with pytest.raises(ValueError, match=r'DNG is read after pip install "imtext\[raw\]"'):
        open_image(dng(Image.new("RGB", (40, 30))))
    with pytest.raises(ValueError, match=r'JXL is read after pip install "imtext\[jxl\]"'):
        open_image(encoded(Image.new("RGB", (40, 30)), "JXL"))


def test_iphones_turn_pictures_in_two_ways() -> None:
    """HEIC says it as a property, which the decoder follows; the copy in EXIF must not turn the picture again."""
    exif = Image.Exif()
    exif[0x0112] = 6
    assert open_image(encoded(Image.new("RGB", (80, 40)), "HEIF", exif=exif.tobytes())).size == (40, 80)


def test_too_many_pixels_are_refused_before_decoding() -> None:
    png = encoded(Image.new("RGB", (8, 8)), "PNG")
    side = (int(MAX_PIXELS**0.5) + 1).to_bytes(4, "big")
    header = b"IHDR" + side * 2 + png[24:29]
    bomb = png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]
    with pytest.raises(ValueError, match=r"limit of|decompression bomb"):
        open_image(bomb)
    for kind in ("HEIF", "AVIF", "JXL"):
        with pytest.raises(ValueError, match="40×30 pixels, more than the limit of 1,000"):
            open_image(encoded(Image.new("RGB", (40, 30)), kind), max_pixels=1_000)


def test_plain_values_and_back() -> None:
    settings = Preprocess(96, (0.1, 0.2, 0.3), (1, 2, 3), "crop", "lanczos")
    assert Preprocess.from_dict(settings.to_dict()) == settings
    assert np.array(settings.to_dict()["image_mean"]).shape == (3,)


def test_older_plain_values_mean_bicubic() -> None:
    values = Preprocess(96).to_dict()
    del values["interpolation"]
    assert Preprocess.from_dict(values) == Preprocess(96, interpolation="bicubic")


def test_override() -> None:
    settings = Preprocess(96, (0.1, 0.2, 0.3), (1, 2, 3), "crop", "lanczos")
    assert settings.override(image_size=None, image_mean=None) == settings
    changed = settings.override(image_size=64, image_mean=[0, 0, 0], interpolation="nearest", resize=None)
    assert changed == Preprocess(64, (0, 0, 0), (1, 2, 3), "crop", "nearest")
    with pytest.raises(ConfigError, match="image_size"):
        settings.override(image_size=8)


@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_interpolation(resize: Literal["squash", "crop"]) -> None:
    image = Image.effect_noise((100, 100), 80).convert("RGB")
    results = {
        name: Preprocess(64, resize=resize, interpolation=name).pixels(image) for name in get_args(Interpolation)
    }
    assert len({pixels.tobytes() for pixels in results.values()}) == len(results)
    assert (results["bicubic"] == Preprocess(64, resize=resize).pixels(image)).all()


@pytest.mark.parametrize(
    "options", [{"image_size": 16}, {"resize": "stretch"}, {"image_std": (1, 0, 1)}, {"interpolation": "cubic"}]
)
def test_bad_values(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Preprocess(**options)  # type: ignore[arg-type]


def test_broken_exif_does_not_cost_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(content, "PNG")

    def broken(image: Image.Image) -> Image.Image:
        raise struct.error("unpack requires a buffer of 2 bytes")

    monkeypatch.setattr("imtext.preprocess.picture.ImageOps.exif_transpose", broken)
    assert open_image(content.getvalue()).size == (8, 8)


def test_any_error_of_a_decoder_is_a_refusal() -> None:
    """Damage as Hypothesis found it: libheif raised EOFError, which ended the update of an index."""
    content = encoded(Image.new("RGB", (64, 64), "red"), "HEIF")
    place = content.index(b"mdat") + 4
    with pytest.raises(ValueError, match="broken HEIF"):
        open_image(content[:place] + b"\xff" + content[place + 1 :], 32)


@pytest.fixture(scope="module")
def seeds() -> dict[str, bytes]:
    """A picture of each kind of file."""
    noise = Image.effect_noise((40, 30), 90)
    colours = Image.merge("RGB", (noise, noise.transpose(Image.Transpose.ROTATE_180), noise))
    return {
        **{kind: encoded(colours, kind) for kind in ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "HEIF", "AVIF")},
        "palette": encoded(colours.quantize(16), "GIF"),
        "CMYK": encoded(colours.convert("CMYK"), "JPEG"),
        "deep": encoded(noise.convert("I;16"), "PNG"),
        "DNG": dng(colours),
    }


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@fuzzed(250)
@given(st.data())
def test_damaged_pictures_are_refused_or_shown(seeds: dict[str, bytes], data: st.DataObject) -> None:
    content = data.draw(damaged(seeds[data.draw(st.sampled_from(sorted(seeds)))]))
    try:
        image = open_image(content, 32, 1_000_000)
    except ValueError:
        return
    assert image.mode == "RGB"
    assert Preprocess(32).pixels(image).shape == (32, 32, 3)
