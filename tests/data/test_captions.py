"""Images with captions, as every source returns them."""

from __future__ import annotations

import pytest
from PIL import Image

from imtext.data.captions import CaptionedImages, fingerprint
from imtext.errors import DataError


def source(*captions: list[str]) -> CaptionedImages:
    names = [f"{row}.jpg" for row in range(len(captions))]
    return CaptionedImages("photos", captions, names, lambda _: Image.new("RGB", (8, 8)), "")


def test_a_complete_source_passes() -> None:
    complete = source(["a dog"], ["a cat", "a black cat"])
    assert complete.check() is complete
    assert len(complete) == 2


@pytest.mark.parametrize("empty", [[], [""], ["a dog", " "]])
def test_empty_captions_are_named(empty: list[str]) -> None:
    with pytest.raises(DataError, match=r"1 of 2 images in photos.*1\.jpg.*data\.skip_broken=true"):
        source(["a dog"], empty).check()


def test_an_empty_source_is_refused() -> None:
    with pytest.raises(DataError, match="no images"):
        source().check()


def test_fingerprint_depends_on_parts_and_order() -> None:
    parts: list[list[str | bytes]] = [["ab"], ["a", "b"], ["b", "a"], [b"a", b"b", b""]]
    assert len({fingerprint(each) for each in parts}) == 4
    assert fingerprint(["a", "b"]) == fingerprint([b"a", b"b"])
