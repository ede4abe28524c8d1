"""The options of `imtext search` that choose pictures by what is known of them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

AfterOption = Annotated[
    str | None, typer.Option("--after", help="Taken in this year, month or on this day, or later: 2024, 2024-05.")
]
BeforeOption = Annotated[
    str | None, typer.Option("--before", help="Taken before this year, month or day: 2025, 2024-05-31.")
]
FolderOption = Annotated[str | None, typer.Option("--in", help="In a folder of this name: Holidays, 2024/Holidays.")]
CameraOption = Annotated[str | None, typer.Option("--camera", help="A part of the camera's name: iPhone.")]
PortraitOption = Annotated[
    bool | None, typer.Option("--portrait/--landscape", help="Upright, or wider than high.", show_default=False)
]
MinSizeOption = Annotated[str | None, typer.Option("--min-size", help="Least width and height in pixels: 1000x800.")]
NearOption = Annotated[
    str | None,
    typer.Option("--near", help="Taken near a city, or a latitude and longitude: Lisbon, 'Paris, US', 38.72,-9.14."),
]
WithinOption = Annotated[str | None, typer.Option("--within", help="Distance from that place: 500m. Default: 25km.")]
SortOption = Annotated[
    Literal["relevance", "date"], typer.Option("--sort", help="Order of the results; date: newest first.")
]
