"""A commit: what changes in the rows, and its writing."""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from imtext.errors import StoreError
from imtext.search.facts import Facts
from imtext.search.store.lance.pictures import (
    Row,
    derive,
    describe,
    file_row,
    folder_number,
    picture_row,
    pictures_table,
    read_pictures,
)
from imtext.search.store.lance.state import State, encode_sum
from imtext.search.store.lance.tables import (
    FEW,
    FILES,
    FOLDERS,
    PICTURES,
    Snapshot,
    is_in,
    literal,
    path_of,
    path_text,
    rows_with,
    schema,
    select,
)
from imtext.search.store.records import File, Picture


@dataclass
class Changes:
    """What a commit writes.

    Attributes:
        rows: pictures to add, or to write again.
        rewritten: ids of those that are there, and of pictures to remove.
        files: rows to add.
        dropped: paths to remove first, as `path_text` writes them.
        state: the next state, without the versions of tables; None: nothing has changed.
    """

    rows: list[Row] = field(default_factory=list)
    rewritten: set[int] = field(default_factory=set)
    files: list[Row] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)
    state: State | None = None


def plan(
    base: Snapshot,
    pictures: Iterable[Picture],
    files: Iterable[File],
    gone: Iterable[str],
    sweep: bool,
    facts: Mapping[bytes, Facts],
    texts: Mapping[bytes, str],
) -> Changes:
    """Find out what a commit changes; see `Store.commit`.

    Raises:
        StoreError: a file has a picture that is neither known nor added.
    """
    state = base.state
    added: dict[str, Picture] = {}
    for picture in pictures:
        added.setdefault(picture.content.hex(), picture)
    dropped = {path_text(path) for path in gone}
    named = {text: file for file in files if (text := path_text(file.path)) not in dropped}
    described = {content.hex(): one for content, one in facts.items()}
    read = {content.hex(): text for content, text in texts.items()}
    contents = {*added, *described, *read, *(file.content.hex() for file in named.values() if not file.reason)}
    ids = _ids(base, contents)
    new = {content: state.next_id + place for place, content in enumerate(name for name in added if name not in ids)}
    ids |= new
    for file in named.values():
        if not file.reason and file.content.hex() not in ids:
            raise StoreError(f"{file.path} has no picture. Nothing was changed")
    before = rows_with(base.files, "path", {*named, *dropped}, ["path", "picture"]).to_pylist()
    touched = {row["picture"] for row in before if row["picture"] is not None}
    touched |= {ids[file.content.hex()] for file in named.values() if not file.reason}
    touched |= {ids[content] for content in {*described, *read} if content in ids}
    rows = {row["id"]: row for row in _pictures(base, touched - {*new.values()})}
    known = {id: dict(row) for id, row in rows.items()}
    rows |= {id: picture_row(id, added[content]) for content, id in new.items()}
    held = _held(base, known, {*named, *dropped})
    for file in named.values():
        if not file.reason:
            held.setdefault(ids[file.content.hex()], []).append((file.path, file.mtime_ns))
    for content, id in ids.items():
        if content in described:
            describe(rows[id], described[content])
        if content in read and rows.get(id, {}).get("described"):
            rows[id]["text"] = read[content]
    for id, row in rows.items():
        if id in held or id not in known:
            derive(row, held.get(id, []), state.sources)
    changes = Changes(dropped={row["path"] for row in before})
    changes.files = [file_row(file, ids.get(file.content.hex())) for file in named.values()]
    swept = _count(changes, state, rows, known, held, sweep)
    changes.rows = [row for id, row in rows.items() if id not in swept and not _same(row, known.get(id))]
    changes.rewritten = swept & {*known, *state.unheld} | {row["id"] for row in changes.rows} & {*known}
    assert changes.state is not None
    if new or named or before or swept or any(content in ids for content in described):
        version = random.getrandbits(62)
        changes.state = replace(changes.state, version=version, next_id=state.next_id + len(new))
    elif not changes.rows:
        changes.state = None
    return changes


def _count(
    changes: Changes,
    state: State,
    rows: Mapping[int, Row],
    known: Mapping[int, Row],
    held: Mapping[int, Sequence[Any]],
    sweep: bool,
) -> set[int]:
    """Update the number of pictures and the sum of their vectors; returns the ids to forget."""
    unheld, total, count = set(state.unheld), state.sum.copy(), state.count
    for id, row in rows.items():
        step = int(bool(held.get(id))) - int(id in known and id not in unheld)
        count += step
        if step:
            total += step * row["vector"].astype(np.float64)
    unheld = (unheld | {id for id in rows if not held.get(id)}) - {id for id in rows if held.get(id)}
    if not count:
        total[:] = 0
    left = [] if sweep else sorted(unheld)
    changes.state = replace(state, number=state.number + 1, count=count, total=encode_sum(total), unheld=left)
    return unheld if sweep else set()


def _same(row: Row, before: Row | None) -> bool:
    if before is None:
        return False
    return all(row[name] == before[name] for name in row if name != "vector")


def _ids(base: Snapshot, contents: Collection[str]) -> dict[str, int]:
    found = rows_with(base.pictures, "content", contents, ["content", "id"])
    return dict(zip(found["content"].to_pylist(), found["id"].to_pylist(), strict=True))


def _pictures(base: Snapshot, ids: Collection[int]) -> list[Row]:
    dim = base.state.embed_dim
    return read_pictures(rows_with(base.pictures, "id", ids, schema(PICTURES, dim).names), dim)


def _held(base: Snapshot, known: Collection[int], except_for: Collection[str]) -> dict[int, list[tuple[str, int]]]:
    """Id → path and modification time of its files, but not of some paths."""
    found = rows_with(base.files, "picture", list(known), ["path", "mtime_ns", "picture"])
    held: dict[int, list[tuple[str, int]]] = {}
    for row in found.to_pylist():
        if row["path"] not in except_for:
            held.setdefault(row["picture"], []).append((path_of(row["path"]), row["mtime_ns"]))
    return held


def plan_sources(base: Snapshot, sources: Sequence[str]) -> Changes:
    """Find out what other sources change: folders are named from the source on that they are in."""
    moved = {*base.state.sources} ^ {*sources}
    rows: dict[int, Row] = {}
    known: dict[int, Row] = {}
    below = [select(base.files, ["picture"], f"picture IS NOT NULL AND {below_folder(source)}") for source in moved]
    ids = {id for found in below for id in found["picture"].to_pylist()}
    if ids:
        known = {row["id"]: row for row in _pictures(base, ids)}
        held = _held(base, known, ())
        rows = {id: dict(row) for id, row in known.items()}
        for id, row in rows.items():
            derive(row, held.get(id, []), sources)
    changed = [row for id, row in rows.items() if not _same(row, known[id])]
    state = replace(base.state, number=base.state.number + 1, sources=[*sources])
    return Changes(changed, {row["id"] for row in changed}, state=state if moved else None)


def below_folder(folder: str) -> str:
    """The condition of files in a folder and below, whatever its name contains: a range of paths."""
    prefix = path_text(folder.rstrip(os.sep) + os.sep)
    return f"path >= {literal(prefix)} AND path < {literal(prefix[:-1] + chr(ord(prefix[-1]) + 1))}"


def apply(tables: Mapping[str, Any], changes: Changes, embed_dim: int) -> dict[str, int]:
    """Write changes into the newest versions of the tables, which nobody reads yet; returns their new versions."""
    import pyarrow as pa

    versions = {name: int(table.version) for name, table in tables.items()}

    def done(name: str, version: int) -> None:
        if version != versions[name] + 1:
            raise meanwhile()
        versions[name] = version

    for name, column, values in (
        (PICTURES, "id", sorted(changes.rewritten)),
        (FILES, "path", sorted(changes.dropped)),
    ):
        for start in range(0, len(values), FEW):
            done(name, tables[name].delete(is_in(column, values[start : start + FEW])).version)
    if changes.rows:
        done(PICTURES, tables[PICTURES].add(pictures_table(changes.rows, embed_dim)).version)
    if changes.files:
        done(FILES, tables[FILES].add(pa.Table.from_pylist(changes.files, schema(FILES, embed_dim))).version)
    folders = _new_folders(tables[FOLDERS], changes)
    if folders:
        done(FOLDERS, tables[FOLDERS].add(pa.Table.from_pylist(folders, schema(FOLDERS, embed_dim))).version)
    return versions


def meanwhile() -> StoreError:
    """The error of a writer that finds rows of another one."""
    return StoreError("Another process writes to this index at the same time. Nothing was changed; try again")


def _new_folders(table: Any, changes: Changes) -> list[Row]:
    paths = {os.path.dirname(path_of(row["path"])) for row in changes.files if row["picture"] is not None}  # noqa: PTH120
    named = {folder_number(path): path for path in paths}
    known = {*rows_with(table, "folder", [*named], ["folder"])["folder"].to_pylist()}
    return [{"folder": number, "path": path_text(path)} for number, path in named.items() if number not in known]
