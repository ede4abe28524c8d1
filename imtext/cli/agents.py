"""`imtext mcp`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from imtext.cli.options import AnyoneOption, HostOption, IndexOption, NameOption, TokenOption, find_index


def mcp(
    index: IndexOption = None,
    http: Annotated[bool, typer.Option("--http", help="Listen on an address. Default: standard input.")] = False,
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0: any free port.")] = 8001,
    token: TokenOption = None,
    anyone: AnyoneOption = False,
    name: NameOption = None,
) -> None:
    """Let agents search an index, by the Model Context Protocol.

    An agent starts `imtext mcp` itself and speaks to it over standard input and output; the other options are those of
    --http.
    """
    from imtext.search.agents import serve_http, serve_stdio

    def announce(url: str, pictures: int) -> None:
        print(f"{pictures:,} pictures for agents at {url}. Ctrl-C stops.", flush=True)

    folder = find_index(None, index)
    if http:
        serve_http(folder, host, port, token, anyone, name or [], announce)
        return
    if sys.stdin.isatty():
        print("Waits for an agent on standard input; for one that connects by address: --http", file=sys.stderr)
    serve_stdio(folder)
