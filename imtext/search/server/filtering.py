"""Filters in requests: fields of a body, or parameters of an address."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from imtext.search.facts import Orientation
from imtext.search.filters import Filters, Sort, parse_filters

MAX_LENGTH = 300  # characters


def _text(description: str, example: str) -> object:
    return Field(max_length=MAX_LENGTH, description=description, examples=[example])


Moment = Annotated[str, _text("A year, a month or a day; a picture without a date has that of its file.", "2024-05")]
Folder = Annotated[str, _text("Names of folders, relative to the folder that was indexed.", "2024/Holidays")]
Camera = Annotated[str, _text("A part of maker and model.", "iPhone")]
Size = Annotated[str, _text("Least width and height in pixels.", "1000x800")]
Place = Annotated[str, _text("A city, or latitude and longitude in degrees; see `place` of the results.", "Lisbon")]
Distance = Annotated[str, _text("Distance from `near`; 25km without it.", "500m")]
Sorted = Annotated[Sort, Field(description="`date`: the best pictures, newest first.")]


class FilterFields(BaseModel):
    """The filters of a request."""

    after: Moment = ""
    before: Moment = ""
    in_: Annotated[Folder, Field(alias="in")] = ""
    camera: Camera = ""
    orientation: Orientation | None = None
    min_size: Size = ""
    near: Place = ""
    within: Distance = ""
    sort: Sorted = "relevance"

    async def filters(self) -> Filters:
        """The filters; names of places are looked up in a thread, because the first one takes a second.

        Raises:
            SearchError: a text is not what it should be.
            MissingExtraError: `near` is a name, and the names of places are not installed.
        """
        return await asyncio.to_thread(self._parse) if self.near else self._parse()

    def _parse(self) -> Filters:
        folder = self.in_.lstrip("/")  # clients do not name folders of this machine
        return parse_filters(
            self.after, self.before, folder, self.camera, self.orientation, self.min_size, self.near, self.within
        )


def _parameters(
    after: Annotated[Moment, Query()] = "",
    before: Annotated[Moment, Query()] = "",
    in_: Annotated[Folder, Query(alias="in")] = "",
    camera: Annotated[Camera, Query()] = "",
    orientation: Annotated[Orientation | None, Query()] = None,
    min_size: Annotated[Size, Query()] = "",
    near: Annotated[Place, Query()] = "",
    within: Annotated[Distance, Query()] = "",
    sort: Annotated[Sorted, Query()] = "relevance",
) -> FilterFields:
    given = {"after": after, "before": before, "in": in_, "camera": camera, "orientation": orientation}
    return FilterFields(**given, min_size=min_size, near=near, within=within, sort=sort)  # type: ignore[arg-type]


FilterParameters = Annotated[FilterFields, Depends(_parameters)]
