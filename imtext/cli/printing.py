"""Output that several verbs share: file names, results, and the page of results."""

from __future__ import annotations

import signal
import sys
import webbrowser
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from imtext.errors import SearchError

if TYPE_CHECKING:
    from imtext.search import SearchResult

CALIBRATE = "imtext calibrate --data captions.csv"  # what adds per cents to a bundle that has none


def one_line(text: str) -> str:
    """Text on one printable line; control characters and undecodable bytes of file names are escaped."""
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return shown.encode("utf-8", "backslashreplace").decode()


def print_first(lines: Sequence[str], limit: int, label: str, more: str = "", file: IO[str] | None = None) -> None:
    """Print at most `limit` lines as ``label: line``, and how many there are beyond that.

    Args:
        lines: lines to print, without line breaks.
        limit: maximum number of lines.
        label: printed before each line.
        more: added to the line that counts the rest, such as a hint where to find it.
        file: where to print; None: standard output.
    """
    for line in lines[:limit]:
        print(f"{label}: {line}", file=file)
    if len(lines) > limit:
        print(f"{label}: … and {len(lines) - limit:,} more{more}", file=file)


def exit_on_closed_pipe() -> None:
    """Let ``imtext … | head`` end silently, as other command-line tools do; Python would report a broken pipe."""
    if hasattr(signal, "SIGPIPE"):  # not on Windows
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def json_row(kind: str, name: str, score: float, relevance: float | None) -> dict[str, Any]:
    """One result for `--json`; `kind` is the name's key, "path" or "text"."""
    return {kind: name, "score": round(score, 6), "relevance": relevance}


def result_row(result: SearchResult, scored: bool) -> dict[str, Any]:
    """One picture of an index for `--json`; `scored`: there was a query."""
    known = {
        "copies": result.copies, "date": result.date, "date_from": result.date_from, "place": result.place,
    }  # fmt: skip
    if not scored:
        return {"path": result.path, **known}
    row = json_row("path", result.path, result.score, result.relevance)
    return {**row, "found_by": result.found_by, **known, "near_duplicates": result.near_duplicates}


def print_rows(rows: Iterable[tuple[str, float, float | None, str]]) -> None:
    """Print results as a table: relevance, score, name and a note after the name.

    Args:
        rows: (name, score, relevance, note) of each result.
    """
    from imtext.search.results import percent

    for name, score, relevance, note in rows:
        print(f"{percent(relevance):>5}  {score:6.3f}  {one_line(name)}{note}")


def print_results(results: Sequence[SearchResult], index_size: int, preview: bool, file_dates: bool = False) -> None:
    """Print the results of one query.

    Args:
        results: best first.
        index_size: number of pictures in the index, to tell "no match" from "no pictures".
        preview: show the first four pictures in the terminal.
        file_dates: print a date after pictures whose camera has written none, too.
    """
    if not results:
        print("The index is empty." if not index_size else "No good match. --min-relevance 0 shows the nearest anyway.")
        return
    if preview:
        _print_preview([result.path for result in results[:4]])
    print_rows(
        (
            result.path,
            result.score,
            result.relevance,
            _words(result) + _copies(result) + _when_and_where(result, file_dates),
        )
        for result in results
    )


def print_list(results: Sequence[SearchResult], index_size: int, preview: bool) -> None:
    """Print pictures that were found without a query: date, name and place."""
    if not results:
        print("The index is empty." if not index_size else "No picture found.")
        return
    if preview:
        _print_preview([result.path for result in results[:4]])
    for result in results:
        print(f"{_day(result)}  {one_line(result.path)}{_copies(result)}{_place(result)}")


def _words(result: SearchResult) -> str:
    """What words of the query stand in; nothing for a picture that only the model finds."""
    where = [reason for reason in result.found_by if reason != "picture"]
    return f"  [{', '.join(where)}]" if where else ""


def _copies(result: SearchResult) -> str:
    counts = ((len(result.copies), "copy", "copies"), (result.near_duplicates, "near duplicate", "near duplicates"))
    return "".join(f"  (+{count} {one if count == 1 else many})" for count, one, many in counts if count)


def _when_and_where(result: SearchResult, file_dates: bool) -> str:
    """The day of a photo and its place, as far as they are known."""
    day = f"  {_day(result)}" if result.date_from == "camera" or (file_dates and result.date_from) else ""
    return day + _place(result)


def _day(result: SearchResult) -> str:
    return result.date[:10] + (" (file)" if result.date_from == "file" else "")


def _place(result: SearchResult) -> str:
    return "" if result.place is None else f"  {result.place[0]:.4f},{result.place[1]:.4f}"


def _print_preview(paths: Sequence[str]) -> None:
    from imtext.search.preview import can_preview, preview

    if can_preview():
        print(preview(paths))
    else:
        print("note: this terminal shows no 24-bit colours (COLORTERM=truecolor); try --open", file=sys.stderr)


def write_page(path: Path | None, results: Sequence[tuple[str, Sequence[SearchResult]]], open_page: bool) -> None:
    """Write an HTML page with the pictures found.

    Args:
        path: path of the page; None: in a new temporary folder.
        results: pairs of a query and its results.
        open_page: show it in the browser.

    Raises:
        SearchError: the page cannot be written.
    """
    import tempfile

    from imtext.search.sheet import contact_sheet

    path = path or Path(tempfile.mkdtemp(prefix="imtext-")) / "results.html"
    try:
        path.write_bytes(contact_sheet(results).encode("utf-8", "replace"))  # file names may hold any bytes
    except OSError as error:
        raise SearchError(f"--sheet {path} cannot be written: {error.strerror}") from error
    print(f"Page: {path.absolute()}", file=sys.stderr)
    if open_page:
        webbrowser.open(path.absolute().as_uri())
