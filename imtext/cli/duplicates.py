"""`imtext duplicates`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from imtext.cli.options import IndexOption
from imtext.cli.printing import exit_on_closed_pipe, one_line

if TYPE_CHECKING:
    from imtext.search.results import Duplicate

NOTHING_FOUND = 1


def duplicates(
    index: IndexOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a list of groups, the best picture of each first.")
    ] = False,
) -> None:
    """List copies of pictures, and pictures that differ in size or quality only or follow in a burst.

    The best picture of a group comes first: most pixels, then largest file, then a format without loss, then oldest.
    Nothing is deleted.
    """
    exit_on_closed_pipe()
    from imtext.search import Index, default_index

    groups = Index(index or default_index()).duplicates()
    if as_json:
        print(json.dumps([[asdict(one) for one in group] for group in groups], indent=2))
    else:
        _print_groups(groups)
    if not groups:
        raise typer.Exit(NOTHING_FOUND)


def _print_groups(groups: Sequence[Sequence[Duplicate]]) -> None:
    """Print one block of lines per group, and what all groups have together."""
    if not groups:
        print("No duplicates.")
        return
    files, spare = 0, 0
    for group in groups:
        for one in group:
            size = f"{one.width}×{one.height}" if one.width else "?"
            print(f"{size:>11}  {_bytes(one.bytes):>8}  {one_line(one.path)}")
            for copy in one.copies:
                print(f"{'equal':>11}  {_bytes(one.bytes):>8}  {one_line(copy)}")
        print()
        sizes = [one.bytes for one in group for _ in (one.path, *one.copies)]
        files, spare = files + len(sizes), spare + sum(sizes[1:])
    print(f"{len(groups):,} groups of {files:,} files. All but the first of each take {_bytes(spare)}.")


def _bytes(number: int) -> str:
    """``2,345,678`` → ``2.3 MB``."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"
