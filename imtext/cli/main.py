"""The `imtext` command: index pictures and search them. Starts without torch; each verb imports what it needs.

Exit codes: 0 done, 1 nothing found, 2 an error (one line on standard error says what and how to put it right).
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

import imtext
from imtext.errors import BundleError, ImtextError, SearchError

if TYPE_CHECKING:
    from imtext.search import SearchResult

NOTHING_FOUND, ERROR, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    name="imtext",
    help="Search your photos with the model you trained.",
    epilog="Train with: python -m imtext.train model=mobilenet_lstm",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

IndexOption = Annotated[
    Path | None,
    typer.Option("--index", "-i", help="The index's folder; without it IMTEXT_INDEX, or one in your data folder."),
]
BundleOption = Annotated[
    Path | None,
    typer.Option("--bundle", "-b", help="The model: a bundle, or a training run. Default: the newest below runs/."),
]
TopK = Annotated[int, typer.Option("--top-k", "-k", min=1, max=1000, help="At most this many results.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a list of {path, score, relevance}.")]
MinRelevance = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Show nothing less likely than this (0 … 1). Default: what the bundle found best; 0 shows all.",
    ),
]


def main() -> None:
    """The command line, with errors as messages."""
    try:
        app(prog_name="imtext")
    except ImtextError as error:
        _fail(str(error))
    except (OSError, sqlite3.Error) as error:  # a full disk, a folder that may not be written
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(ERROR)


def _bundle(named: Path | None, instead: Path | None = None) -> Path:
    """The bundle that was named, or the newest below runs/, or one instead; which one that is, nobody else says."""
    from imtext.search import newest_bundle, runs_dir

    if named is not None:
        return named
    try:
        chosen = newest_bundle(runs_dir())
    except BundleError:
        if instead is None or not (instead / "manifest.json").is_file():
            raise
        chosen = instead
    print(f"Model: {_line(str(chosen))}", file=sys.stderr)
    return chosen


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"imtext {imtext.__version__}")
        raise typer.Exit


@app.command()
def index(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders, pictures, patterns in quotes, text files of paths, or - for a list on stdin. "
            "None: everything that was indexed before."
        ),
    ] = None,
    index: IndexOption = None,
    bundle: BundleOption = None,
    status: Annotated[bool, typer.Option("--status", help="Say what would change and why; change nothing.")] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Embed everything anew; with another --bundle, too.")
    ] = False,
    allow_empty: Annotated[bool, typer.Option(help="Believe that a folder is gone, or has no pictures left.")] = False,
) -> None:
    """Add, update, rename and remove pictures, so that the index follows its folders.

    Only what is new or changed is embedded. Killed or stopped, it keeps what it has done and goes on next time.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from imtext.search import Index, default_index, load_bundle
    from imtext.search.index import own_bundle

    folder = index or default_index()
    if status:
        _print_status(folder, sources or [])
        return
    own = (own_bundle(folder) if bundle is None else None) or _bundle(bundle)
    opened = Index.create(folder, load_bundle(own), rebuild)
    columns = (
        TextColumn("Indexing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, rate="")

        def count(done: int, total: int, path: str) -> None:
            bar.update(task, completed=done, total=total, rate=f"{bar.tasks[0].speed or 0:.0f}/s")

        try:
            report = opened.update(sources or [], count, allow_empty)
        except KeyboardInterrupt:
            bar.stop()
            print("Stopped; what was committed is kept.", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
    for path in report.without_pictures:
        if path not in report.refused:
            print(f"no pictures in {_line(path)}", file=sys.stderr)
    remembered = set(opened.store.sources())
    # Whole sources first: they matter more than single files.
    refused = sorted(report.refused.items(), key=lambda one: (one[0] not in remembered, one))
    for path, reason in refused[:10]:
        print(f"left out: {_line(path)}: {reason}", file=sys.stderr)
    if len(refused) > 10:
        print(f"left out: … and {len(refused) - 10:,} more (imtext index --status names all)", file=sys.stderr)
    for before, after in report.renamed[:5]:
        print(f"renamed: {_line(before)} → {_line(after)}", file=sys.stderr)
    counts = {
        "added": report.added - report.updated, "updated": report.updated, "renamed": len(report.renamed),
        "copies": report.copies, "removed": report.removed, "unchanged": report.unchanged,
        "left out": len(report.refused), "left out before": report.refused_before,
    }  # fmt: skip
    said = ", ".join(f"{number:,} {what}" for what, number in counts.items() if number) or "nothing to do"
    rate = f" ({report.added / report.seconds:.0f} pictures/s)" if report.added else ""
    print(f"{said} in {report.seconds:.1f} s{rate}. {len(opened):,} pictures in {folder}")


def _print_status(folder: Path, sources: Sequence[str]) -> None:
    from imtext.search import Index
    from imtext.search.index.changes import Changes
    from imtext.search.index.discovery import find

    opened = Index(folder) if Index.exists(folder) or not sources else None
    if opened:
        changes = opened.compare(sources)
    else:
        found = find(sources)
        changes = Changes(new=list(found.files.values()), refused=found.refused)
    for title, paths, why in (
        ("new", [file.path for file in changes.new], "not in the index"),
        ("changed", [file.path for file in changes.changed], "another size or time of change, or not read yet"),
        ("gone", changes.gone, "no longer in its folder"),
    ):
        for path in paths[:10]:
            print(f"{title}: {_line(path)} ({why})")
        if len(paths) > 10:
            print(f"{title}: … and {len(paths) - 10:,} more")
    known = opened.store.files() if opened else ()
    for path, reason in (changes.refused | {file.path: file.reason for file in known if file.reason}).items():
        print(f"left out: {_line(path)}: {reason}")
    about = f"There is no index in {folder} yet"
    if opened:
        about = f"{len(opened):,} pictures of model {opened.bundle.manifest['name']} ({opened.bundle.fingerprint})"
    print(
        f"{about}; "
        f"{len(changes.new):,} new, {len(changes.changed):,} changed, {len(changes.gone):,} gone, "
        f"{changes.unchanged:,} unchanged"
    )


class _Search(TyperCommand):
    """A query may begin with a sign: "- person" is no option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [f" {arg}" if arg.startswith("- ") else arg for arg in args])


@app.command(cls=_Search)
def search(
    query: Annotated[
        list[str] | None,
        typer.Argument(help='Words, a picture, or both: "dog + beach - person", "2:dog + photo.jpg".'),
    ] = None,
    index: IndexOption = None,
    top_k: TopK = 10,
    min_relevance: MinRelevance = None,
    as_json: AsJson = False,
    paths_only: Annotated[bool, typer.Option("--paths-only", "-p", help="One path a line, for pipes.")] = False,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="With --paths-only: end paths with NUL, as xargs -0 wants.")
    ] = False,
    sheet: Annotated[Path | None, typer.Option(help="Write a page with the pictures found.")] = None,
    open_sheet: Annotated[bool, typer.Option("--open", help="Show that page in the browser.")] = False,
    show: Annotated[bool, typer.Option("--preview", help="Show small pictures in the terminal.")] = False,
    queries: Annotated[Path | None, typer.Option(help="A file with one query a line; - for standard input.")] = None,
) -> None:
    """Find pictures by words, by a picture, or by arithmetic over both."""
    _end_with_reader()
    from imtext.search import Index, default_index, parse_query
    from imtext.search.query import query_notes

    asked = _asked(query, queries)
    opened = Index(index or default_index())
    calibration = opened.bundle.calibration
    level = min_relevance if min_relevance is not None else calibration.min_relevance if calibration else 0.0
    terms = [parse_query(one) for one in asked]
    answers = opened.search_batch(terms, top_k, level)
    for line in terms:
        for note in query_notes(line, opened.encoder.tokenizer):
            print(f"note: {note}", file=sys.stderr)
    if as_json:
        rows = [[_row(result) for result in results] for results in answers]
        if queries is None:
            print(json.dumps(rows[0], indent=2))
        else:
            for one, row in zip(asked, rows, strict=True):
                print(json.dumps({"query": one, "results": row}))
    elif paths_only:
        for results in answers:
            for result in results:
                sys.stdout.buffer.write(os.fsencode(result.path) + (b"\0" if null else b"\n"))
        sys.stdout.flush()
    else:
        for one, results in zip(asked, answers, strict=True):
            if len(asked) > 1:
                print(f"# {one}")
            _print_results(results, len(opened), show)
    if sheet is not None or open_sheet:
        _write_sheet(sheet, list(zip(asked, answers, strict=True)), open_sheet)
    if not any(answers):
        raise typer.Exit(NOTHING_FOUND)


def _end_with_reader() -> None:
    """In a pipe such as `… | head` end without a word, as other tools do; Python would make it exit code 1."""
    if hasattr(signal, "SIGPIPE"):  # not on Windows
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _asked(query: Sequence[str] | None, queries: Path | None) -> list[str]:
    if (query is None) == (queries is None):
        raise SearchError('Say what to look for: imtext search "a dog on the beach", or --queries FILE')
    if queries is None:
        return [" ".join(query or [])]
    try:
        text = sys.stdin.read() if str(queries) == "-" else queries.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SearchError(f"--queries {queries} cannot be read: {error}") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise SearchError(f"--queries {queries} holds no query")
    return lines


def _row(result: SearchResult) -> dict[str, Any]:
    return {"path": result.path, "score": round(result.score, 6), "relevance": result.relevance}


def _print_results(results: Sequence[SearchResult], size: int, show: bool) -> None:
    from imtext.search.sheet import can_preview, percent, preview

    if not results:
        print("The index is empty." if not size else "No good match. --min-relevance 0 shows the nearest anyway.")
        return
    if show and can_preview():
        print(preview([result.path for result in results[:4]]))
    elif show:
        print("note: this terminal shows no 24-bit colours (COLORTERM=truecolor); try --open", file=sys.stderr)
    for result in results:
        copies = f"  (+{len(result.copies)} copies)" if result.copies else ""
        print(f"{percent(result.relevance):>5}  {result.score:6.3f}  {_line(result.path)}{copies}")


def _write_sheet(path: Path | None, answers: Sequence[tuple[str, Sequence[SearchResult]]], show: bool) -> None:
    import tempfile

    from imtext.search.sheet import contact_sheet

    path = path or Path(tempfile.mkdtemp(prefix="imtext-")) / "results.html"
    try:
        path.write_bytes(contact_sheet(answers).encode("utf-8", "replace"))  # names can be of any bytes
    except OSError as error:
        raise SearchError(f"--sheet {path} cannot be written: {error.strerror}") from error
    print(f"Page: {path.absolute()}", file=sys.stderr)
    if show:
        webbrowser.open(path.absolute().as_uri())


@app.command()
def rank(
    query: Annotated[str, typer.Argument(help="Words or arithmetic; with --texts, a picture.")],
    candidates: Annotated[list[str], typer.Argument(help="Pictures; with --texts, texts.")],
    bundle: BundleOption = None,
    top_k: Annotated[int | None, typer.Option("--top-k", "-k", min=1, help="Only the best so many.")] = None,
    texts: Annotated[bool, typer.Option("--texts", help="Order texts by how well they describe one picture.")] = False,
    as_json: AsJson = False,
) -> None:
    """Order a few pictures by a text, or texts by a picture; no index needed."""
    _end_with_reader()
    from imtext.search import create_predictor, default_index
    from imtext.search.query import picture_file
    from imtext.search.sheet import percent

    if texts and not picture_file(query) and (picture := next(filter(picture_file, candidates), None)):
        raise SearchError(f'With --texts the picture comes first: imtext rank --texts {picture} "{query}"')
    predictor = create_predictor(_bundle(bundle, instead=default_index() / "bundle"))
    kind = "text" if texts else "path"
    ranked = (predictor.rank_texts if texts else predictor.rank_images)(query, candidates, top_k)
    ordered = [(str(getattr(one, kind)), one) for one in ranked]
    if as_json:
        rows = [{kind: name, "score": round(one.score, 6), "relevance": one.relevance} for name, one in ordered]
        print(json.dumps(rows, indent=2))
        return
    for name, one in ordered:
        print(f"{percent(one.relevance):>5}  {one.score:6.3f}  {_line(name)}")


@app.command(context_settings={"ignore_unknown_options": True})
def export(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint, a run's folder, or last | best of the newest run.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: bundle/ in the run's folder.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="Where the data is now: data.path=…")] = None,
) -> None:
    """Make a bundle of a trained model, and prove that it gives the same answers."""
    from imtext.export import export_run

    made = export_run(checkpoint, output, overrides or [])
    print(f"Bundle: {made.path}")


@app.command()
def serve(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[INDEX]", help="The index's folder; default as for search.")
    ] = None,
    index: IndexOption = None,
    host: Annotated[
        str, typer.Option(help="Where to listen; anything but this machine asks for a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0: any that is free.")] = 8000,
    token: Annotated[
        str | None, typer.Option(envvar="IMTEXT_TOKEN", help="A secret that every request has to present.")
    ] = None,
    anyone: Annotated[bool, typer.Option("--anyone", help="Let others than this machine ask without a token.")] = False,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="Another origin whose pages may ask, such as https://example.org.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="Another name to answer to, such as example.org behind a reverse proxy.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
) -> None:
    """Serve a page to search with, and an API, until Ctrl-C."""
    from imtext.search import default_index
    from imtext.search.server import serve

    def say(url: str, pictures: int) -> None:
        print(f"{pictures:,} pictures at {url} (API: {url}/openapi.json). Ctrl-C stops.", flush=True)
        if open_page:
            webbrowser.open(f"{url}/?token={token}" if token else url)

    if folder and index:
        raise SearchError(f"Name one index: either {folder} or --index {index}")
    serve(folder or index or default_index(), host, port, token, anyone, cors_origin or [], name or [], say)


@app.command()
def info(
    path: Annotated[
        Path | None, typer.Argument(help="A bundle, a training run, or an index; default: the index as for search.")
    ] = None,
) -> None:
    """Say what is inside a bundle or an index."""
    from imtext.search import Index, default_index, load_bundle

    default, path = path is None, path or default_index()
    opened = Index(path) if default or Index.exists(path) else None
    bundle = opened.bundle if opened else load_bundle(path)
    manifest = bundle.manifest
    if opened:
        print(f"index        {path.absolute()}")
        print(f"pictures     {len(opened):,}")
        print(f"sources      {', '.join(map(_line, opened.store.sources()))}")
    print(f"bundle       {bundle.path}")
    print(f"model        {manifest['name']}, {bundle.embed_dim} dimensions, {bundle.preprocess.image_size} pixels")
    print(f"fingerprint  {bundle.fingerprint}")
    size = sum(file["bytes"] for file in manifest["files"].values()) / 1e6
    print(f"files        {', '.join(manifest['files'])} ({size:.1f} MB)")
    for split in ("val", "test"):
        figures = manifest["metrics"]
        if f"{split}/t2i_r@10" in figures:
            print(
                f"{split:<12} R@10 text→image {100 * figures[f'{split}/t2i_r@10']:.1f} %, image→text "
                f"{100 * figures[f'{split}/i2t_r@10']:.1f} % of {figures[f'{split}/num_images']:.0f} images"
            )
    if bundle.calibration:
        one = bundle.calibration
        print(
            f"relevance    shown from {100 * one.min_relevance:.0f} % on, calibration error "
            f"{100 * one.error:.1f} points; {100 * one.refused:.0f} % of queries without an answer get none"
        )
    for name, value in manifest["tags"].items():
        print(f"{name:<12} {value}")


@app.command()
def check(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            help="Bundles, runs and indexes; or settings, such as optim.lr=1e-3. None: the index as for search, or "
            "the settings where there is none."
        ),
    ] = None,
) -> None:
    """Check bundles and indexes (every file, and that they embed), or settings of a training."""
    from imtext.search import Index, default_index

    if not what:
        what = [str(default_index())] if Index.exists(default_index()) else []
    settings = [one for one in what if "=" in one and not Path(one).exists()]
    for one in what:
        if one not in settings:
            _check_folder(Path(one))
    if settings or not what:
        from imtext.config.compose import check_overrides

        check_overrides("train", settings)
        print(f"ok: settings {' '.join(settings)}" if settings else "ok: settings as they are")


def _check_folder(path: Path) -> None:
    import numpy as np

    from imtext.search import Encoder, Index, load_bundle

    opened = Index(path) if Index.exists(path) else None
    encoder = opened.encoder if opened else Encoder(load_bundle(path))
    size = encoder.bundle.preprocess.image_size
    encoder.encode_texts(["a"])
    encoder.encode_images([np.zeros((size, size, 3), dtype=np.uint8)])
    if not opened:
        print(f"ok: bundle {encoder.bundle.path}")
        return
    print(f"ok: index {path.absolute()}, {opened.store.check():,} pictures")


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the gallery and its index go.")] = Path("imtext-demo"),
    bundle: BundleOption = None,
    pictures: Annotated[int, typer.Option(min=1, max=10_000, help="How many to draw.")] = 200,
    open_sheet: Annotated[bool, typer.Option("--open", help="Show the results in the browser.")] = False,
) -> None:
    """Draw a small gallery from the embedded data set, index it and search it."""
    import numpy as np

    from imtext.data.scenes import describe, draw, random_scene
    from imtext.search import Index, load_bundle, parse_query

    model = load_bundle(_bundle(bundle))
    rng = np.random.default_rng(7)
    gallery = folder / "pictures"
    gallery.mkdir(parents=True, exist_ok=True)
    scenes = [random_scene(rng) for _ in range(pictures)]
    for number, scene in enumerate(scenes):
        draw(scene, rng).save(gallery / f"{number:04}.png")
    opened = Index.create(folder / "index", model, rebuild=True)
    report = opened.update([str(gallery)])
    print(f"{len(opened):,} drawn pictures indexed in {report.seconds:.1f} s: {folder / 'index'}")
    asked = [
        describe(scene, rng)[0].strip(" .") for scene in scenes[1:4]
    ]  # 0001.png and the next two should come first
    level = model.calibration.min_relevance if model.calibration else 0.0
    answers = opened.search_batch([parse_query(one) for one in asked], 3, level)
    for one, results in zip(asked, answers, strict=True):
        print(f"\n# {one}")
        _print_results(results, len(opened), show=sys.stdout.isatty())
    print()
    _write_sheet(folder / "results.html", list(zip(asked, answers, strict=True)), open_sheet)
    print(f'Search yourself: imtext search --index {folder / "index"} "two green triangles"')


def _line(path: str) -> str:
    """A path of any bytes on one line."""
    shown = "".join(one if one.isprintable() else repr(one)[1:-1] for one in path)
    return shown.encode("utf-8", "backslashreplace").decode()
