"""Requests are validated, and the error responses described."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from imtext.search.server.messages import MISSING, RankPictures, SearchRequest, TextsRequest, responses


def test_defaults() -> None:
    request = SearchRequest(query="a dog")
    assert (request.top_k, request.min_relevance) == (10, None)


@pytest.mark.parametrize("values", [{"query": ""}, {"query": "a", "top_k": 0}, {"query": "a", "unknown": 1}])
def test_invalid_searches(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SearchRequest.model_validate(values)


def test_ids_are_hashes() -> None:
    assert RankPictures(query="a", ids=["0" * 32]).ids
    with pytest.raises(ValidationError):
        RankPictures(query="a", ids=["../../etc/passwd"])
    with pytest.raises(ValidationError):
        TextsRequest(texts=[])


def test_errors_are_described() -> None:
    described = responses(MISSING)
    assert list(described) == sorted(described)
    assert {404, 422, 503} <= set(described)
