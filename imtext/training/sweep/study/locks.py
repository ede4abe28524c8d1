"""Locks that tell whether a worker lives: the operating system or the database lets go of those of a dead process."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from imtext.errors import ConfigError, StoreError

# Numbers of the locks that are not a trial's.
STUDY = -1
MLFLOW = -2
# A machine that has vanished is noticed after 90 seconds, not after the two hours of most systems.
KEEPALIVE = "-c tcp_keepalives_idle=60 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"


class Locks(Protocol):
    """The locks of one study."""

    def alone(self, number: int = STUDY) -> AbstractContextManager[None]:
        """Only one worker at a time is inside of a block of this number."""
        ...

    def hold(self, number: int) -> None:
        """Hold the lock of a trial, until `release` or the end of this process; call it inside of `alone`."""
        ...

    def release(self, number: int) -> None:
        """Let go of the lock of a trial; call it inside of `alone`."""
        ...

    def is_held(self, number: int) -> bool:
        """Whether a living process holds the lock of a trial; call it inside of `alone`."""
        ...


class FileLocks:
    """Locks of files, for workers on one machine.

    Args:
        folder: that of the database; its studies write one after the other, but each has trials of its own.
        name: of the study.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name = folder, name
        self._held: dict[int, FileLock] = {}

    def _file(self, number: int) -> Path:
        others = {STUDY: "studies.lock", MLFLOW: f"{self._name}.mlflow.lock"}
        return self._folder / others.get(number, f"{self._name}.trial-{number}.lock")

    @contextmanager
    def alone(self, number: int = STUDY) -> Iterator[None]:
        """See `Locks`."""
        with FileLock(self._file(number)):
            yield

    def hold(self, number: int) -> None:
        """See `Locks`."""
        lock = FileLock(self._file(number))
        lock.acquire()
        self._held[number] = lock

    def release(self, number: int) -> None:
        """See `Locks`."""
        self._held.pop(number).release()
        self._file(number).unlink(missing_ok=True)

    def is_held(self, number: int) -> bool:
        """See `Locks`."""
        if number in self._held:
            return True
        try:
            with FileLock(self._file(number), timeout=0):
                pass
        except Timeout:
            return True
        self._file(number).unlink(missing_ok=True)
        return False


class PostgresLocks:
    """Advisory locks of a PostgreSQL session, for workers on several machines.

    If the connection is lost, so are its locks, and the others take the trial for that of a dead worker.

    Args:
        url: of the database.
        name: of the study.

    Raises:
        ConfigError: the URL or its driver is missing.
        StoreError: the database cannot be reached.
    """

    def __init__(self, url: str, name: str) -> None:
        try:
            self._engine = create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"options": KEEPALIVE})
        except ModuleNotFoundError as error:
            raise ConfigError(f'sweep.storage needs the package {error.name}: pip install "psycopg[binary]"') from error
        except ArgumentError as error:
            raise ConfigError(f"sweep.storage: {error}") from error
        self._study = zlib.crc32(name.encode()) - 2**31  # the keys of PostgreSQL are signed
        self._held: set[int] = set()
        self._connect()

    def _connect(self) -> None:
        try:
            self._connection = self._engine.connect()
        except DBAPIError as error:
            raise StoreError(f"sweep.storage: {str(error.orig).splitlines()[0]}") from error

    def _call(self, function: str, number: int) -> bool:
        query, keys = text(f"SELECT {function}(:study, :number)"), {"study": self._study, "number": number}
        try:
            return bool(self._connection.execute(query, keys).scalar())
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            self._held.clear()
            self._connect()
            return bool(self._connection.execute(query, keys).scalar())

    @contextmanager
    def alone(self, number: int = STUDY) -> Iterator[None]:
        """See `Locks`."""
        self._call("pg_advisory_lock", number)
        try:
            yield
        finally:
            self._call("pg_advisory_unlock", number)

    def hold(self, number: int) -> None:
        """See `Locks`."""
        self._call("pg_advisory_lock", number)
        self._held.add(number)

    def release(self, number: int) -> None:
        """See `Locks`."""
        self._held.discard(number)
        self._call("pg_advisory_unlock", number)

    def is_held(self, number: int) -> bool:
        """See `Locks`."""
        if number in self._held:
            return True
        if not self._call("pg_try_advisory_lock", number):
            return True
        self._call("pg_advisory_unlock", number)
        return False


def locks_of(storage: str, folder: Path, name: str) -> Locks:
    """The locks of a study.

    Args:
        storage: URL of its database.
        folder: of the study, on this machine.
        name: of the study.

    Raises:
        ConfigError: the database is neither SQLite nor PostgreSQL.
        StoreError: the database cannot be reached.
    """
    if storage.startswith("sqlite:///"):
        file = Path(storage.removeprefix("sqlite:///"))
        return FileLocks(file.with_name(f"{file.name}.locks"), name)
    if storage.startswith("postgresql"):
        return PostgresLocks(storage, name)
    raise ConfigError("sweep.storage takes sqlite:///<file>, or postgresql+psycopg://user:password@host/database")
