"""The tables of a store: where they are, what they hold, and how rows are found."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from imtext.errors import ImtextError, SearchError, StoreError, needs
from imtext.search.filters import folder_key
from imtext.search.store.lance.state import TABLE, State, read_state
from imtext.search.store.records import Ids

PICTURES, FILES, FOLDERS = "pictures", "files", "folders"
TABLES = (PICTURES, FILES, FOLDERS)
FEW = 1_000  # values in one condition; of more, all rows are read
BLOCK = 16_384  # rows read at once
CODED = 8  # numbers that the vector index encodes together
_PLACE = re.compile(r", /\S+\.rs:\d+")
ERRORS = (OSError, RuntimeError, ValueError)  # what lancedb raises


def connect(location: str, make: bool = False) -> Any:
    """The connection to ``lance:///absolute/folder`` or ``lance+s3://bucket/prefix``.

    Raises:
        SearchError: the URL names no folder.
        MissingExtraError: lancedb is not installed.
    """
    with needs("lance"):
        import lancedb
    uri = _uri(location)
    if not make and not is_elsewhere(location) and not (Path(uri) / f"{TABLE}.lance").is_dir():
        raise SearchError(f"There is no index in {location}")  # lancedb would make the folder
    with errors(location, "opened"):
        return lancedb.connect(uri)


def normal(location: str) -> str:
    """The URL as it is recorded."""
    return location.rstrip("/") if is_elsewhere(location) else f"lance://{Path(_uri(location)).absolute()}"


def is_elsewhere(location: str) -> bool:
    """Is the store on an object store?"""
    return not location.startswith("lance://")


def _uri(location: str) -> str:
    """What lancedb calls the same place."""
    scheme, _, rest = location.partition("://")
    if is_elsewhere(location):
        if not rest.strip("/"):
            raise SearchError(f"{location} names no bucket: write {scheme}://bucket/prefix")
        return f"{scheme.removeprefix('lance+')}://{rest.rstrip('/')}"
    if not rest.startswith("/") or not rest.strip("/"):
        raise SearchError(f"{location} names no folder: write lance:///absolute/folder")
    return f"/{rest.strip('/')}"


@contextmanager
def errors(location: str, verb: str) -> Iterator[None]:
    """Turn errors of lancedb into one line that says which store it is."""
    try:
        yield
    except ImtextError:
        raise
    except ERRORS as error:
        # Lance ends its messages with places in its own source: ", /home/…/src/dataset.rs:123:45".
        reason = " ".join(_PLACE.split(str(error))[0].split())[:300]
        raise StoreError(f"{location} cannot be {verb}: {reason}") from error


def table_name(table: str, generation: str) -> str:
    """The name in Lance."""
    return f"{table}_{generation}"


class Snapshot:
    """The tables as of one commit. Several threads may read it.

    Args:
        db: the connection.
        state: the commit.
    """

    def __init__(self, db: Any, state: State) -> None:
        self.state = state
        self._tables: dict[str, Any] = {}
        for name, version in state.tables.items():
            table = self._tables[name] = db.open_table(table_name(name, state.generation))
            if table.version != version:
                table.checkout(version)
        self._lock = threading.Lock()

    @property
    def pictures(self) -> Any:
        """The table of pictures."""
        return self._tables[PICTURES]

    @property
    def files(self) -> Any:
        """The table of files."""
        return self._tables[FILES]

    @property
    def held(self) -> str:
        """The condition that a file has the picture; empty if all pictures have one."""
        return f"id NOT IN ({', '.join(map(str, self.state.unheld))})" if self.state.unheld else ""

    @cached_property
    def ids(self) -> Ids:
        """The ids of all pictures that a file has, ascending."""
        with self._lock:
            found = select(self.pictures, ["id"], self.held)["id"].to_numpy()
            return np.sort(found).astype(np.int64)

    @cached_property
    def folders(self) -> list[tuple[int, str, str]]:
        """Number, absolute path and `folder_key` of each folder that pictures are or were in."""
        rows = select(self._tables[FOLDERS], ["folder", "path"])
        named = {number: path_of(text) for number, text in zip(rows["folder"].to_pylist(), rows["path"].to_pylist())}  # noqa: B905
        return [(number, path, folder_key(path, self.state.sources)) for number, path in named.items()]


def latest(db: Any, table: Any, location: str) -> Snapshot:
    """The last commit. A writer of a moment ago may have removed a version; then there is a newer commit."""
    for attempt in range(3):
        state = read_state(table, location)
        try:
            return Snapshot(db, state)
        except ERRORS:
            table.checkout_latest()
            if attempt == 2 or read_state(table, location).number == state.number:
                raise
    raise AssertionError


# ---- rows


def select(table: Any, columns: Sequence[str], where: str = "") -> Any:
    """The columns of all rows that a condition keeps, as a table of Arrow."""
    query = table.search().select(list(columns))
    return (query.where(where) if where else query).to_arrow()


def batches(table: Any, columns: Sequence[str], where: str = "") -> Any:
    """Like `select`, in batches, for tables that do not fit in memory."""
    query = table.search().select(list(columns))
    return (query.where(where) if where else query).to_batches(BLOCK)


def rows_with(table: Any, column: str, values: Collection[int] | Collection[str], columns: Sequence[str]) -> Any:
    """The rows whose column has one of many values, as a table of Arrow."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(values) <= FEW:
        return select(table, columns, is_in(column, values) if values else "false")
    wanted = pa.array(list(values))
    parts = [batch.filter(pc.is_in(batch[column], wanted)) for batch in batches(table, sorted({column, *columns}))]
    return pa.Table.from_batches(parts).select(list(columns)) if parts else select(table, columns, "false")


def is_in(column: str, values: Iterable[int] | Iterable[str]) -> str:
    """The condition that a column has one of a few values."""
    return f"{column} IN ({', '.join(literal(value) for value in values)})"


def literal(value: float | str) -> str:
    """A number or a text in a condition, whatever the text contains."""
    return "'{}'".format(value.replace("'", "''")) if isinstance(value, str) else repr(value)


def path_text(path: str) -> str:
    """A path of any bytes as text, a character for each byte, so that it sorts as the bytes do."""
    return os.fsencode(path).decode("latin-1")


def path_of(text: str) -> str:
    """The path of a text by `path_text`."""
    return os.fsdecode(text.encode("latin-1"))


def width(embed_dim: int) -> int:
    """Numbers of a vector in a table: its own, and zeros up to a multiple of `CODED`, which change no product."""
    return -(-embed_dim // CODED) * CODED


def schema(table: str, embed_dim: int) -> Any:
    """The columns of a table."""
    import pyarrow as pa

    number, text, real = pa.int64(), pa.string(), pa.float64()
    known: dict[str, dict[str, Any]] = {
        PICTURES: {
            "id": number, "content": text, "vector": pa.list_(pa.float32(), width(embed_dim)),
            "places": number, "grid": pa.binary(),
            # Facts, as they were read.
            "described": pa.bool_(), "width": number, "height": number, "taken": text, "camera": text,
            "latitude": real, "longitude": real, "hash": pa.binary(), "title": text, "caption": text, "keywords": text,
            "text": text,
            # What filters and words are compared with, which follows from the facts, the files and the sources.
            "date": number, "maker": text, "x": real, "y": real, "z": real, "folders": pa.list_(number),
            "name": text, "folder": text, "words": text,
        },
        FILES: {
            "path": text, "size": number, "mtime_ns": number, "content": text, "reason": text, "ctime_ns": number,
            "inode": number, "picture": number,
        },
        FOLDERS: {"folder": number, "path": text},
    }  # fmt: skip
    return pa.schema(list(known[table].items()))
