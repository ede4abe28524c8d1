"""`imtext index` and `imtext index --status`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imtext.cli.clusters import engine_of, require_local
from imtext.cli.options import (
    AddressOption,
    BundleOption,
    EngineOption,
    ExcludeOption,
    GridsOption,
    HiddenOption,
    IndexOption,
    OcrOption,
    RebuildOption,
    StoreOption,
    VerifyOption,
    WatchOption,
    find_bundle,
)
from imtext.cli.printing import one_line, print_first
from imtext.errors import ImtextError, SearchError

if TYPE_CHECKING:
    from imtext.search import Index
    from imtext.search.index import Rules
    from imtext.search.index.apply import Report
    from imtext.search.index.changes import Changes

INTERRUPTED = 130
WAIT_SECONDS = 5  # between two tries while another process is indexing


def index(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders, pictures, patterns in quotes, text files of paths, or - for a list on standard input. "
            "Default: everything that was indexed before."
        ),
    ] = None,
    index: IndexOption = None,
    bundle: BundleOption = None,
    store: StoreOption = None,
    status: Annotated[bool, typer.Option("--status", help="Print what would change and why; change nothing.")] = False,
    rebuild: RebuildOption = False,
    verify: VerifyOption = False,
    allow_empty: Annotated[
        bool, typer.Option(help="Remove the pictures of a folder that is missing or has become empty.")
    ] = False,
    grids: GridsOption = None,
    exclude: ExcludeOption = None,
    include_hidden: HiddenOption = None,
    ocr: OcrOption = False,
    watch: WatchOption = False,
    engine: EngineOption = "local",
    address: AddressOption = None,
) -> None:
    """Add, update, rename and remove pictures, so that the index matches its folders.

    Only new and changed pictures are embedded. An interrupted run keeps what it has committed; the next run continues.
    """
    from imtext.search import Index, default_index, load_bundle
    from imtext.search.index import own_bundle, read_rules

    folder = index or default_index()
    rules = read_rules(folder).override(exclude, include_hidden)
    if status:
        _print_status(folder, sources or [], rules)
        return
    if watch:
        require_local(engine)
        from imtext.search.index import watching  # first, because a package may be missing
    if ocr:
        from imtext.search.index import reading  # noqa: F401
    own = own_bundle(folder) if bundle is None else None
    grids = _grids_before(folder) if rebuild and grids is None else grids
    opened = Index.create(folder, load_bundle(own or find_bundle(bundle)), rebuild, store)
    try:
        with engine_of(engine, address) as embedder, _progress() as count:
            report = opened.update(sources or [], count, allow_empty, (), grids, rules, verify, embedder(opened.bundle))
        _print_details(report, opened.store.sources())
        print(f"{_summary(report)}. {len(opened):,} pictures in {folder}", flush=True)
        _print_left_out(report)
        if opened.bundle.reranker and report.added:
            print(_about_grids(opened))
        if ocr:
            _read_texts(opened)
        if watch:
            _keep_updated(opened, watching.changes(folder.absolute(), lambda: opened.store.sources()), ocr)
    except KeyboardInterrupt:
        print("Stopped. Committed pictures are kept.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


def _read_texts(opened: Index) -> None:
    """Read text in pictures, with a progress bar."""
    started = time.monotonic()
    with _progress("Reading text") as count:
        read = opened.read_texts(count)
    if read:
        seconds = time.monotonic() - started
        print(
            f"Text was looked for in {read:,} pictures in {seconds:.1f} s ({seconds / read:.2f} s/picture)", flush=True
        )


def _keep_updated(opened: Index, changes: Iterator[None], ocr: bool) -> None:
    """Update an index after every change, and print what was done."""
    print("Watching the folders for changes. Ctrl-C stops.", flush=True)
    refused: dict[str, str] = {}
    for _ in changes:
        report = _update_when_free(opened)
        if report.added or report.renamed or report.copies or report.removed or report.refused != refused:
            _print_details(report, opened.store.sources())
            print(f"{_summary(report)}. {len(opened):,} pictures", flush=True)
        if ocr:
            _read_texts(opened)
        refused = report.refused


def _update_when_free(opened: Index) -> Report:
    """Update an index; while another process is writing, wait for it."""
    said = False
    while True:
        try:
            return opened.update()
        except SearchError as error:
            if opened.replaced():
                raise
            if not said:
                print(f"waiting: {error}", file=sys.stderr, flush=True)
            said = True
            time.sleep(WAIT_SECONDS)


def _grids_before(folder: Path) -> bool | None:
    """Whether an index keeps grids; None if it has none to keep, or cannot be read."""
    from imtext.search import Index

    with suppress(ImtextError):
        if Index.exists(folder):
            before = Index(folder)
            try:
                return before.has_grids if before.bundle.reranker and len(before) else None
            finally:
                before.close()
    return None


def _about_grids(opened: Index) -> str:
    """The cost of a second look: space for stored grids, or time to compute them."""
    reranker = opened.bundle.reranker
    assert reranker is not None
    if opened.has_grids:
        size = reranker.grid_bytes
        return (
            f"Stored for the re-ranker: {size / 1000:.1f} kB a picture, {len(opened) * size / 1e6:,.1f} MB in all. "
            "To save the space and compute it from files in each search: --rebuild --no-grids"
        )
    return f"Nothing is stored for the re-ranker: each search reads up to {reranker.top_k} files. To store: --rebuild"


@contextmanager
def _progress(what: str = "Indexing") -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar on standard error; yields a function of files done, files in total and the current path."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, rate="")

        def count(done: int, total: int, path: str) -> None:
            bar.update(task, completed=done, total=total, rate=f"{bar.tasks[0].speed or 0:.0f}/s")

        yield count


def _print_details(report: Report, remembered: Sequence[str]) -> None:
    """Print to standard error which files were left out or renamed, in a limited number of lines."""
    for path in report.without_pictures:
        if path not in report.refused:
            print(f"no pictures in {one_line(path)}", file=sys.stderr)
    # Sources come first, because they matter more than single files.
    refused = sorted(report.refused.items(), key=lambda item: (item[0] not in remembered, item))
    lines = [f"{one_line(path)}: {reason}" for path, reason in refused]
    print_first(lines, 10, "left out", " (imtext index --status names all)", sys.stderr)
    for before, after in report.renamed[:5]:
        print(f"renamed: {one_line(before)} → {one_line(after)}", file=sys.stderr)


def _summary(report: Report) -> str:
    """The counts above zero, the seconds and the rate."""
    counts = {
        "added": report.added - report.updated,
        "updated": report.updated,
        "renamed": len(report.renamed),
        "copies": report.copies,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "left out": len(report.refused),
        "left out before": report.refused_before,
        "described (date, place, camera, words)": report.described,
    }
    changes = ", ".join(f"{number:,} {what}" for what, number in counts.items() if number) or "nothing to do"
    rate = f" ({report.added / report.seconds:.0f} pictures/s)" if report.added else ""
    return f"{changes} in {report.seconds:.1f} s{rate}"


def _print_left_out(result: Report | Changes) -> None:
    """Print how many files of which types were not read, and what was not looked at, in one line each."""
    from imtext.preprocess.formats import install_hint
    from imtext.search.index.exclusion import BY_USER

    if result.other:
        hints = {kind: f" ({hint})" if (hint := install_hint(kind)) else "" for kind in result.other}
        types = (f"{number:,} {kind}{hints[kind]}" for kind, number in result.other.most_common())
        print(f"Left out: {', '.join(types)}")
    if result.skipped:
        counts = [(reason in BY_USER, f"{number:,} {reason}") for reason, number in result.skipped.most_common()]
        by_name = ", ".join(count for is_by_user, count in counts if not is_by_user)
        by_user = [count for is_by_user, count in counts if is_by_user]
        print(f"Skipped: {', '.join([f'{by_name} (to read them: --include-hidden)'] * bool(by_name) + by_user)}")


def _print_status(folder: Path, sources: Sequence[str], rules: Rules) -> None:
    """Print what indexing would change; without an index, print the pictures in the sources."""
    from imtext.search import Index
    from imtext.search.index.changes import compare
    from imtext.search.index.discovery import find

    opened = Index(folder) if Index.exists(folder) or not sources else None
    changes = opened.compare(sources, rules) if opened else compare(None, find(sources, rules=rules))
    for label, paths, reason in (
        ("new", [file.path for file in changes.new], "not in the index"),
        (
            "changed",
            [file.path for file in changes.changed],
            "size, time or place on the drive differs, or not read yet",
        ),
        ("gone", changes.gone, "no longer in its folder"),
    ):
        print_first([f"{one_line(path)} ({reason})" for path in paths], 10, label)
    known = opened.store.refused() if opened else {}
    for path, reason in (changes.refused | known).items():
        print(f"left out: {one_line(path)}: {reason}")
    print(f"{_describe(folder, opened)}; {_changes_summary(changes)}")
    _print_left_out(changes)


def _describe(folder: Path, opened: Index | None) -> str:
    if opened is None:
        return f"There is no index in {folder} yet"
    return f"{len(opened):,} pictures of model {opened.bundle.manifest['name']} ({opened.bundle.fingerprint})"


def _changes_summary(changes: Changes) -> str:
    return (
        f"{len(changes.new):,} new, {len(changes.changed):,} changed, {len(changes.gone):,} gone, "
        f"{changes.unchanged:,} unchanged"
    )
