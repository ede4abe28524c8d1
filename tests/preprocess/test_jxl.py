"""The size in the header of a JPEG XL file equals that of the decoder."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from imtext.preprocess.jxl import jxl_size
from tests.search.index.shoebox import encoded


@pytest.mark.parametrize(
    "size", [(1, 1), (8, 8), (40, 30), (30, 40), (256, 256), (512, 288), (100, 50), (37, 1000), (9000, 3)]
)
@pytest.mark.parametrize("container", [False, True])
def test_size(size: tuple[int, int], container: bool) -> None:
    content = encoded(Image.new("RGB", size), "JXL", use_container=container, effort=1)
    assert jxl_size(content) == size == Image.open(io.BytesIO(content)).size


def test_no_header() -> None:
    with pytest.raises(ValueError, match="without a picture"):
        jxl_size(b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x08free")
