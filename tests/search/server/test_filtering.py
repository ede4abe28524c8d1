"""Filters in requests: the same fields in a body and in an address."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import ValidationError

from imtext.search.filters import Filters, parse_filters
from imtext.search.server.filtering import FilterFields, FilterParameters

VALUES = {
    "after": "2024", "before": "2025-06", "in": "2024/Holidays", "camera": "iPhone", "orientation": "portrait",
    "min_size": "1000x800", "near": "38.72,-9.14", "within": "500m", "sort": "date",
}  # fmt: skip


def test_a_body_and_an_address_mean_the_same() -> None:
    fields = FilterFields.model_validate(VALUES)
    texts = [VALUES[name] for name in ("after", "before", "in", "camera", "orientation", "min_size", "near", "within")]
    assert asyncio.run(fields.filters()) == parse_filters(*texts)  # type: ignore[arg-type]
    app = FastAPI()

    @app.get("/")
    def echo(given: FilterParameters) -> FilterFields:
        return given

    assert TestClient(app).get("/", params=VALUES).json() == fields.model_dump(by_alias=True)


def test_clients_name_no_folders_of_this_machine() -> None:
    assert asyncio.run(FilterFields.model_validate({"in": "//etc/x"}).filters()) == Filters(folder="etc/x")


def test_texts_have_a_limit() -> None:
    with pytest.raises(ValidationError, match="at most 300 characters"):
        FilterFields.model_validate({"camera": "x" * 301})


def test_names_of_places() -> None:
    assert asyncio.run(FilterFields(near="Lisbon").filters()).place == "Lisbon, Portugal"
