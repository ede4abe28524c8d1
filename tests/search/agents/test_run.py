"""`imtext mcp` as a process: over standard input and output, and over HTTP with and without a token."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import requests
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

pytestmark = pytest.mark.slow

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
HEADERS = {"accept": "application/json, text/event-stream"}
TOOLS = ["search", "similar", "duplicates", "describe_index", "thumbnail"]


@contextmanager
def serving(index: Path, *options: str) -> Iterator[str]:
    """The address of a server over HTTP, which must end without an error."""
    command = [sys.executable, "-m", "imtext", "mcp", "--index", str(index), "--http", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line.startswith("12 pictures for agents at http://127.0.0.1:"), line
            yield line.split()[5].rstrip(".")
        finally:
            server.terminate()
        assert server.wait(20) == 0


async def use(client: Client) -> None:
    """Search, and look at what was found."""
    async with client:
        assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS
        found = await client.call_tool("search", {"query": "a red circle", "top_k": 2, "min_relevance": 0})
        first = found.structured_content["results"][0]
        shown = await client.call_tool("thumbnail", {"id": first["id"]})
        assert [content.type for content in shown.content] == ["image"]
        assert (await client.call_tool("similar", {"id": "f" * 32})).is_error


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_over_standard_input_and_output(process: StdioServerParameters, mode: str) -> None:
    asyncio.run(use(Client(process, mode=mode)))


def test_over_http(index: Path) -> None:
    with serving(index) as url:
        asyncio.run(use(Client(url)))
        assert requests.get(url, headers=HEADERS, timeout=20).status_code == 405
        refused = requests.post(url, json=CALL, headers={**HEADERS, "host": "evil.example"}, timeout=20)
        assert (refused.status_code, "does not serve that host name" in refused.json()["detail"]) == (421, True)
        other_page = requests.post(url, json=CALL, headers={**HEADERS, "origin": "https://evil.example"}, timeout=20)
        assert other_page.status_code == 403
        assert requests.post(url, data=b" " * 1_000_001, headers=HEADERS, timeout=20).status_code == 413


def test_over_http_with_a_token(index: Path) -> None:
    async def use_token(url: str) -> None:
        async with httpx2.AsyncClient(headers={"authorization": "Bearer open-sesame"}, timeout=20) as http:
            await use(Client(streamable_http_client(url, http_client=http)))

    with serving(index, "--token", "open-sesame") as url:
        for headers in ({}, {"authorization": "Bearer wrong"}):
            refused = requests.post(url, json=CALL, headers={**HEADERS, **headers}, timeout=20)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        asyncio.run(use_token(url))


def test_others_are_let_in_on_purpose_only(index: Path) -> None:
    command = [sys.executable, "-m", "imtext", "mcp", "--index", str(index), "--http", "--host", "0.0.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n"), "--token" in done.stderr) == (2, 1, True)
