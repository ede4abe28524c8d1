"""The commit point of a store: which versions of its tables belong together.

Lance commits each table on its own. The table `state` has one row that names a version of every other table; readers
open these. What a killed writer has left in the tables has a version that nobody names.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from imtext.errors import SearchError, StoreError
from imtext.search.store.records import Vectors

TABLE = "state"
FORMAT = 2


@dataclass(frozen=True)
class State:
    """One commit.

    Attributes:
        number: of the commit; each is one more than the one before.
        generation: part of the names of the tables; a rebuild makes new ones.
        embed_dim: length of the vectors.
        model: see `Store.model`.
        version: of the pictures and files, see `Store.version`.
        tables: name of a table → its version in Lance.
        next_id: id of the next new picture; an id is never used twice.
        count: pictures that a file has.
        total: the sum of their vectors, from which follows their mean.
        unheld: ids of pictures that no file has, until they are swept.
        sources: see `Store.sources`.
        commits: since files were last joined and indexes updated.
        indexed: pictures at that time.
        trained: pictures from which the vector index learnt its centres; 0: there is none.
        replaced: the generation that this one replaced, and when, in seconds since 1970.
    """

    number: int
    generation: str
    embed_dim: int
    model: str = ""
    version: int = 0
    tables: dict[str, int] = field(default_factory=dict)
    next_id: int = 1
    count: int = 0
    total: str = ""
    unheld: list[int] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    commits: int = 0
    indexed: int = 0
    trained: int = 0
    replaced: tuple[str, float] = ("", 0.0)

    @property
    def sum(self) -> npt.NDArray[np.float64]:
        """``[embed_dim]``, the sum of all vectors."""
        return np.frombuffer(base64.b64decode(self.total), "<f8") if self.total else np.zeros(self.embed_dim)

    @property
    def mean(self) -> Vectors:
        """``[embed_dim]``, the mean of all vectors."""
        return np.asarray(self.sum / max(1, self.count), dtype=np.float32)

    def write(self) -> str:
        """The text that is stored; names of any bytes are ASCII in it."""
        return json.dumps({"format": FORMAT, **asdict(self)})

    @classmethod
    def read(cls, text: str, location: str) -> Self:
        """What `write` has written.

        Raises:
            SearchError: another imtext has written it.
        """
        known: dict[str, Any] = json.loads(text)
        if (made := known.pop("format", None)) != FORMAT:
            raise SearchError(
                f"{location} is an index of format {made}, but this imtext reads {FORMAT}. Index into a new store"
            )
        return cls(**{**known, "replaced": tuple(known["replaced"])})


def encode_sum(total: npt.NDArray[np.float64]) -> str:
    """`State.total` of a sum."""
    return base64.b64encode(total.astype("<f8").tobytes()).decode()


def read_state(table: Any, location: str) -> State:
    """The last commit."""
    (row,) = table.search().select(["state"]).to_arrow().to_pylist()
    return State.read(row["state"], location)


def write_state(table: Any, state: State, location: str) -> None:
    """Commit, unless somebody else has done so since this commit began.

    Raises:
        StoreError: another process has committed.
    """
    values = {"number": state.number, "state": state.write()}
    if table.update(where=f"number = {state.number - 1}", values=values).rows_updated != 1:
        raise StoreError(f"Another process has written to {location} at the same time. Nothing was changed; try again")
