"""The options of `imtext search` that choose pictures by what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from imtext.errors import SearchError

if TYPE_CHECKING:
    from imtext.search.facts import Orientation
    from imtext.search.filters import Filters

AfterOption = Annotated[
    str | None, typer.Option("--after", help="Taken in this year, month or on this day, or later: 2024, 2024-05.")
]
BeforeOption = Annotated[
    str | None, typer.Option("--before", help="Taken before this year, month or day: 2025, 2024-05-31.")
]
FolderOption = Annotated[str | None, typer.Option("--in", help="In a folder of this name: Holidays, 2024/Holidays.")]
CameraOption = Annotated[str | None, typer.Option("--camera", help="A part of the camera's name: iPhone.")]
PortraitOption = Annotated[bool, typer.Option("--portrait", help="Upright.")]
LandscapeOption = Annotated[bool, typer.Option("--landscape", help="Wider than high.")]
MinSizeOption = Annotated[str | None, typer.Option("--min-size", help="Least width and height in pixels: 1000x800.")]
NearOption = Annotated[
    str | None,
    typer.Option("--near", help="Taken near a city, or a latitude and longitude: Lisbon, 'Paris, US', 38.72,-9.14."),
]
WithinOption = Annotated[str | None, typer.Option("--within", help="Distance from that place: 500m. Default: 25km.")]
SortOption = Annotated[
    Literal["relevance", "date"], typer.Option("--sort", help="Order of the results; date: newest first.")
]


def read_filters(
    after: str | None,
    before: str | None,
    folder: str | None,
    camera: str | None,
    portrait: bool,
    landscape: bool,
    min_size: str | None,
    near: str | None,
    within: str | None,
) -> Filters:
    """The filters of the options above.

    Raises:
        SearchError: a text cannot be read, or two options contradict each other; it names the options.
    """
    from imtext.search.filters import FilterError, parse_filters

    if portrait and landscape:
        raise SearchError("--portrait and --landscape: no picture is both. Give one of them")
    orientation: Orientation | None = "portrait" if portrait else "landscape" if landscape else None
    try:
        return parse_filters(after, before, folder, camera, orientation, min_size, near, within)
    except FilterError as error:
        raise SearchError(f"--{error.name.replace('_', '-')}: {error.problem}") from error
