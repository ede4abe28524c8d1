"""`imtext serve`."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated, Literal

import typer

from imtext.cli.options import (
    AnyoneOption,
    ApproximateOption,
    BundleOption,
    HostOption,
    IndexOption,
    NameOption,
    StoreOption,
    TokenOption,
    find_bundle,
    find_index,
)
from imtext.errors import SearchError


def serve(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[INDEX]", help="Folder of the index; default as for search.")
    ] = None,
    index: IndexOption = None,
    store: StoreOption = None,
    bundle: BundleOption = None,
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0: any free port.")] = 8000,
    token: TokenOption = None,
    anyone: AnyoneOption = False,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="Another origin whose pages may send requests: https://example.org.")
    ] = None,
    name: NameOption = None,
    root_path: Annotated[
        str, typer.Option(help="Prefix of the addresses that a reverse proxy removes, such as /photos.")
    ] = "",
    approximate: ApproximateOption = False,
    log: Annotated[
        Literal["json"] | None,
        typer.Option(help="Write a line of JSON to standard error after each request: its route, status and time."),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
) -> None:
    """Serve a search page and an API until Ctrl-C.

    With --store and --bundle the folder is made: it serves what another machine indexes into that store.
    """
    from imtext.search.server import serve as run_server

    def announce(url: str, pictures: int) -> None:
        print(f"{pictures:,} pictures at {url} (API: {url}/docs). Ctrl-C stops.", flush=True)
        if open_page:
            webbrowser.open(f"{url}/?token={token}" if token else url)

    chosen = find_index(folder, index)
    if store:
        _attach(chosen, store, bundle)
    elif bundle:
        raise SearchError("--bundle needs --store: an index in a folder is served with its own model")
    names, lines = name or [], log == "json"
    run_server(chosen, host, port, token, anyone, cors_origin or [], names, root_path, approximate, lines, announce)


def _attach(folder: Path, store: str, bundle: Path | None) -> None:
    """Make the folder of an index whose pictures are in a store elsewhere."""
    from imtext.search import load_bundle
    from imtext.search.index import attach_index

    attach_index(folder, load_bundle(find_bundle(bundle)), store)
