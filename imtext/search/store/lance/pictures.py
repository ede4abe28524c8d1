"""Rows of pictures and files, and what filters and words compare."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from typing import Any

import numpy as np

from imtext.search.facts import Facts
from imtext.search.store.columns import local_time, on_sphere
from imtext.search.store.lance.tables import PICTURES, path_of, path_text, schema, width
from imtext.search.store.records import File, Picture, Vectors
from imtext.search.words import folder_words, name_words

Row = dict[str, Any]

FACTS = tuple(field.name for field in fields(Facts))
FILE = ("path", "size", "mtime_ns", "content", "reason", "ctime_ns", "inode")  # the fields of `File`
TEXTS = ("name", "folder", "title", "caption", "keywords", "text")  # the columns that words are looked for in


def picture_row(id: int, picture: Picture) -> Row:
    """A new picture, of which nothing else is known."""
    grid = picture.grid
    return {
        "id": id,
        "content": picture.content.hex(),
        "vector": np.ascontiguousarray(picture.vector, np.float32),
        "places": None if grid is None else len(grid),
        "grid": None if grid is None else np.ascontiguousarray(grid, "<f2").tobytes(),
        "described": False,
        **dict(zip(FACTS, astuple(Facts()), strict=True)),
        "text": None,
    }


def describe(row: Row, facts: Facts) -> None:
    """Record the facts of a picture."""
    row.update(dict(zip(FACTS, astuple(facts), strict=True)), described=True)


def facts_of(row: Mapping[str, Any]) -> Facts:
    """The facts of a picture."""
    return Facts(**{name: row[name] for name in FACTS})


def derive(row: Row, files: Sequence[tuple[str, int]], sources: Sequence[str]) -> None:
    """Fill the columns that filters and words are compared with.

    Args:
        row: a picture.
        files: path and modification time in nanoseconds of each of its files.
        sources: what was indexed.
    """
    paths = sorted((path for path, _ in files), key=os.fsencode)
    taken = row["taken"][:19] or local_time(min((mtime_ns for _, mtime_ns in files), default=0))
    (position,) = on_sphere([row["latitude"]], [row["longitude"]]).tolist()
    known = position[0] == position[0]
    row |= {
        "date": int(np.datetime64(taken, "s").astype(np.int64)),
        "maker": row["camera"].casefold(),
        **dict(zip("xyz", position if known else [None] * 3, strict=True)),
        "folders": sorted({folder_number(os.path.dirname(path)) for path in paths}),  # noqa: PTH120
        "name": name_words(paths),
        "folder": folder_words(paths, sources),
    }
    row["words"] = " ".join(plain(row[column] or "") for column in TEXTS) if row["described"] else ""


def folder_number(folder: str) -> int:
    """A number for a folder that follows from its path."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(folder), digest_size=8).digest(), "big", signed=True)


def plain(text: str) -> str:
    """The words of a text without regard to case and accents, with blanks between them."""
    decomposed = (text if text.isascii() else unicodedata.normalize("NFKD", text)).casefold()
    letters = (char if char.isalnum() else " " for char in decomposed if not unicodedata.combining(char))
    return " ".join("".join(letters).split())


def pictures_table(rows: Sequence[Row], embed_dim: int) -> Any:
    """Rows of pictures as a table of Arrow."""
    import pyarrow as pa

    columns = schema(PICTURES, embed_dim)
    vectors = np.array([row["vector"] for row in rows], dtype=np.float32).reshape(len(rows), embed_dim)
    arrays = [
        vector_column(vectors) if field.name == "vector" else pa.array([row[field.name] for row in rows], field.type)
        for field in columns
    ]
    return pa.Table.from_arrays(arrays, schema=columns)


def vector_column(vectors: Vectors) -> Any:
    """Vectors ``[N, embed_dim]`` as a column of Arrow; the opposite of `vectors_of`."""
    import pyarrow as pa

    dim = vectors.shape[1]
    stored = np.pad(vectors, ((0, 0), (0, width(dim) - dim)))
    return pa.FixedSizeListArray.from_arrays(pa.array(stored.ravel()), width(dim))


def read_pictures(found: Any, embed_dim: int) -> list[Row]:
    """The opposite of `pictures_table`."""
    vectors = vectors_of(found, embed_dim)
    return [{**row, "vector": vector} for row, vector in zip(found.drop(["vector"]).to_pylist(), vectors, strict=True)]


def vectors_of(found: Any, embed_dim: int) -> Any:
    """``[N, embed_dim]``, the column of vectors of a table of Arrow."""
    column = found["vector"]
    column = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), width(embed_dim))[:, :embed_dim]


def file_row(file: File, picture: int | None) -> Row:
    """A file, and the id of its picture."""
    return {
        **dict(zip(FILE, astuple(file), strict=True)),
        "path": path_text(file.path),
        "content": "" if picture is None else file.content.hex(),
        "picture": picture,
    }


def file_of(row: Mapping[str, Any]) -> File:
    """The file of a row."""
    values = {name: row[name] for name in FILE}
    return File(**{**values, "path": path_of(row["path"]), "content": bytes.fromhex(row["content"])})
