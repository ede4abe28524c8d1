"""The tools, called by the client of the protocol's own package."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult, ImageContent, TextContent
from PIL import Image

from imtext.search import Index, parse_query
from imtext.search.agents.tools import create_tools
from imtext.search.server.limits import Limits
from imtext.search.server.service import Service


@pytest.fixture(scope="module")
def tools(index: Path) -> Iterator[MCPServer[Any]]:
    service = Service(index, Limits())
    yield create_tools(service)
    service.close()


def call(tools: MCPServer[Any], name: str, **arguments: object) -> CallToolResult:
    async def run() -> CallToolResult:
        async with Client(tools) as client:
            return await client.call_tool(name, arguments)

    return asyncio.run(run())


def found(tools: MCPServer[Any], name: str, **arguments: object) -> list[dict[str, Any]]:
    answer = call(tools, name, **arguments)
    assert not answer.is_error, answer.content
    results: list[dict[str, Any]] = answer.structured_content["results"]
    return results


def test_search_is_that_of_the_index(tools: MCPServer[Any], index: Path) -> None:
    words = "a red circle + 2:star"
    results = found(tools, "search", query=words, top_k=5, min_relevance=0)
    assert [one["id"] for one in results] == [one.id for one in Index(index).search(parse_query(words), 5)]
    assert all(one["name"].endswith(".png") and "/" not in one["name"] for one in results)
    assert found(tools, "search", query=words, min_relevance=1) == []
    assert found(tools, "search", query="zorkmid") == [], "the threshold of the model"


def test_filters_choose_among_the_pictures(tools: MCPServer[Any]) -> None:
    all_of_them = found(tools, "search", top_k=12)
    assert [one["date"] for one in all_of_them] == sorted((one["date"] for one in all_of_them), reverse=True)
    assert {(one["score"], one["relevance"]) for one in all_of_them} == {(None, None)}, "nothing was asked in words"
    middle = all_of_them[5]["date"][:10]
    newer = {one["id"] for one in all_of_them if one["date"] >= middle}
    assert 0 < len(newer) < 12
    chosen = {"filters": {"after": middle}, "top_k": 12}
    assert {one["id"] for one in found(tools, "search", query="red", min_relevance=0, **chosen)} == newer
    assert {one["id"] for one in found(tools, "similar", id=all_of_them[5]["id"], **chosen)} == newer
    assert found(tools, "search", filters={"in": "nowhere"}) == []


def test_a_picture_is_most_similar_to_itself(tools: MCPServer[Any]) -> None:
    id = found(tools, "search", query="red", min_relevance=0)[3]["id"]
    similar = found(tools, "similar", id=id, top_k=4)
    assert [similar[0]["id"], similar[0]["relevance"], len(similar)] == [id, None, 4]


def test_the_index_is_described_without_its_place(tools: MCPServer[Any], index: Path) -> None:
    answer = call(tools, "describe_index")
    facts = answer.structured_content
    assert (facts["pictures"], facts["folders"]) == (12, ["holiday"])
    assert (facts["oldest"], facts["newest"]) == ("1970-01-02", "1970-01-13")
    assert str(index.parent) not in str(answer)


def test_thumbnails_have_a_limited_size(tools: MCPServer[Any]) -> None:
    id = found(tools, "search", query="red", min_relevance=0)[0]["id"]
    (small,) = call(tools, "thumbnail", id=id, size=32).content
    assert isinstance(small, ImageContent)
    assert small.mime_type == "image/jpeg"
    assert max(Image.open(io.BytesIO(base64.b64decode(small.data))).size) == 32


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("search", {"query": "red - red"}, "cancel each other out"),
        ("search", {"filters": {"after": "soon"}}, "after: 'soon' is no date"),
        ("search", {"query": "red", "top_k": 51}, "top_k: Input should be less than or equal to 50"),
        ("search", {"query": ""}, "query: String should have at least 1 character"),
        ("similar", {"id": "f" * 32}, f"There is no picture {'f' * 32}."),
        ("thumbnail", {"id": "../../etc/passwd"}, "id: String should match pattern"),
        ("thumbnail", {"id": "f" * 32, "size": 1025}, "size: Input should be less than or equal to 1024"),
    ],
)
def test_errors_are_one_sentence(tools: MCPServer[Any], name: str, arguments: dict[str, Any], message: str) -> None:
    answer = call(tools, name, **arguments)
    (text,) = answer.content
    assert isinstance(text, TextContent)
    assert answer.is_error
    assert message in text.text
    assert "\n" not in text.text
    assert "Error executing" not in text.text


def test_a_path_is_words(tools: MCPServer[Any], index: Path) -> None:
    results = found(tools, "search", query=str(index.parent / "holiday" / "03.png"), min_relevance=0)
    assert None not in [one["relevance"] for one in results], "as if the picture had been opened"
