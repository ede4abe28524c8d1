"""Raw files of cameras: the preview that the camera has put into them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

TURNS = {  # LibRaw's number of an orientation → how to turn pixels
    3: Image.Transpose.ROTATE_180, 5: Image.Transpose.ROTATE_90, 6: Image.Transpose.ROTATE_270,
}  # fmt: skip


def open_raw(source: Path | bytes, target_size: int | None, max_pixels: int) -> Image.Image:
    """Open the preview of a raw file; develop the file if there is none, or if it is smaller than needed.

    Args:
        source: path or content of a file.
        target_size: pixels that the shorter side of the preview should have.
        max_pixels: limit of the sensor's pixels, checked before anything is decoded.

    Returns:
        The picture; it may still have to be turned as its EXIF data say.

    Raises:
        ValueError: the file is broken, of a camera that LibRaw does not know, or has too many pixels.
    """
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as raw:
            if raw.sizes.raw_width * raw.sizes.raw_height > max_pixels:
                raise ValueError(
                    f"{raw.sizes.raw_width}×{raw.sizes.raw_height} pixels, more than the limit of {max_pixels:,}"
                )
            preview = _preview(raw)
            if preview is None or min(preview.size) < (target_size or 0):
                return Image.fromarray(raw.postprocess(half_size=True, use_camera_wb=True))
            return preview
    except rawpy.LibRawError as error:
        reason = error.args[0]
        raise ValueError(f"raw file: {reason.decode() if isinstance(reason, bytes) else reason}") from error


def _preview(raw: Any) -> Image.Image | None:
    import rawpy

    try:
        thumbnail = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    if thumbnail.format == rawpy.ThumbFormat.JPEG:
        return Image.open(io.BytesIO(thumbnail.data), formats=("JPEG",))  # LibRaw adds the orientation
    picture = Image.fromarray(thumbnail.data)
    turn = TURNS.get(raw.sizes.flip)
    return picture if turn is None else picture.transpose(turn)
