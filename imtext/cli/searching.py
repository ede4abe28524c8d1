"""`imtext search` and `imtext rank`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from imtext.cli.filtering import (
    AfterOption,
    BeforeOption,
    CameraOption,
    FolderOption,
    LandscapeOption,
    MinSizeOption,
    NearOption,
    PortraitOption,
    SortOption,
    WithinOption,
    read_filters,
)
from imtext.cli.options import (
    ApproximateOption,
    BundleOption,
    FoldOption,
    IndexOption,
    JsonOption,
    MinRelevanceOption,
    RerankOption,
    TopKOption,
    WordsOption,
    find_model,
)
from imtext.cli.printing import (
    CALIBRATE,
    exit_on_closed_pipe,
    json_row,
    print_list,
    print_results,
    print_rows,
    result_row,
    write_page,
)
from imtext.errors import SearchError

if TYPE_CHECKING:
    from imtext.search import Index, SearchResult
    from imtext.search.index import SearchOptions

    Found = Sequence[tuple[str, Sequence[SearchResult]]]  # each query and its results

NOTHING_FOUND = 1


class SearchCommand(TyperCommand):
    """A command whose argument may begin with a minus sign: "- person" is a query, not an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Protect such arguments from the option parser by a leading blank, which queries ignore."""
        return super().parse_args(ctx, [f" {arg}" if arg.startswith("- ") else arg for arg in args])


def search(
    query: Annotated[
        list[str] | None,
        typer.Argument(help='Words, a picture, or both: "dog + beach - person", "2:dog + photo.jpg".'),
    ] = None,
    index: IndexOption = None,
    top_k: TopKOption = 10,
    after: AfterOption = None,
    before: BeforeOption = None,
    folder: FolderOption = None,
    camera: CameraOption = None,
    portrait: PortraitOption = False,
    landscape: LandscapeOption = False,
    min_size: MinSizeOption = None,
    near: NearOption = None,
    within: WithinOption = None,
    sort: SortOption = "relevance",
    words: WordsOption = True,
    min_relevance: MinRelevanceOption = None,
    rerank_top_k: RerankOption = None,
    fold: FoldOption = True,
    approximate: ApproximateOption = False,
    as_json: JsonOption = False,
    paths_only: Annotated[bool, typer.Option("--paths-only", "-p", help="Print one path per line, for pipes.")] = False,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="With --paths-only: end each path with NUL, for xargs -0.")
    ] = False,
    sheet: Annotated[Path | None, typer.Option(help="Write an HTML page with the pictures found.")] = None,
    open_sheet: Annotated[bool, typer.Option("--open", help="Show that page in the browser.")] = False,
    show: Annotated[bool, typer.Option("--preview", help="Show small pictures in the terminal.")] = False,
    queries: Annotated[Path | None, typer.Option(help="A file with one query per line; - for standard input.")] = None,
) -> None:
    """Find pictures by words, by a picture, or by arithmetic over both; of all pictures, or of those that filters keep.

    With filters or --sort date, the query may be left out: the newest pictures come first.
    """
    exit_on_closed_pipe()
    from imtext.search import Index, default_index
    from imtext.search.index import SearchOptions

    filters = read_filters(after, before, folder, camera, portrait, landscape, min_size, near, within)
    if filters.place:
        _print_notes([f"near {filters.place}"])
    options = SearchOptions(top_k, min_relevance, rerank_top_k, filters, sort, fold, words)
    listing = not query and queries is None and (filters or sort == "date")
    texts = [] if listing else _read_queries(query, queries)
    opened = Index(index or default_index(), approximate=approximate)
    found = [("", opened.newest(top_k, filters))] if listing else _search(opened, texts, options)
    if as_json:
        _print_json(found, batch=queries is not None)
    elif paths_only:
        _print_paths(found, b"\0" if null else b"\n")
    else:
        _print_found(found, opened, options, show)
    if sheet is not None or open_sheet:
        write_page(sheet, found, open_sheet)
    if not any(results for _, results in found):
        raise typer.Exit(NOTHING_FOUND)


def _read_queries(words: Sequence[str] | None, file: Path | None) -> list[str]:
    """The queries to run: the words of the command line, or the lines of a file."""
    if (words is None) == (file is None):
        raise SearchError('No query given: imtext search "a dog on the beach", or --queries FILE')
    if file is None:
        return [" ".join(words or [])]
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SearchError(f"--queries {file} cannot be read: {error}") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise SearchError(f"--queries {file} contains no query")
    return lines


def _print_notes(notes: Sequence[str]) -> None:
    """Print to standard error which words of a query the model does not read."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _search(opened: Index, texts: Sequence[str], options: SearchOptions) -> Found:
    """Run the queries; print to standard error which of their words the model does not read."""
    from imtext.search import parse_query
    from imtext.search.query import embed_queries, query_notes

    parsed = [parse_query(text) for text in texts]
    results = opened.search_each(embed_queries(parsed, opened.encoder), [options] * len(parsed))
    for terms in parsed:
        _print_notes(query_notes(terms, opened.encoder.tokenizer))
    return list(zip(texts, results, strict=True))


def _print_found(found: Found, opened: Index, options: SearchOptions, show: bool) -> None:
    """Print a table of the results of each query; without a query, dates take the place of relevance and score."""
    listing = not any(text for text, _ in found)
    for text, results in found:
        if len(found) > 1:
            print(f"# {text}")
        if not results and options.filters and len(opened) and not opened.newest(1, options.filters):
            print("No picture of the index passes these filters.")
        elif listing:
            print_list(results, len(opened), show)
        else:
            print_results(results, len(opened), show, file_dates=options.sort == "date")
    if opened.bundle.calibration is None and not listing:
        _print_notes([f"this model gives scores, but no per cents; to add them: {CALIBRATE}"])


def _print_json(found: Found, batch: bool) -> None:
    """Print one list of results; with `batch` one line per query."""
    for text, results in found:
        rows = [result_row(result, scored=bool(text)) for result in results]
        print(json.dumps({"query": text, "results": rows}) if batch else json.dumps(rows, indent=2))


def _print_paths(found: Found, end: bytes) -> None:
    """Print the paths only, as the file system's bytes."""
    for _, results in found:
        for result in results:
            sys.stdout.buffer.write(os.fsencode(result.path) + end)
    sys.stdout.flush()


def rank(
    query: Annotated[str, typer.Argument(help="Words or arithmetic; with --texts, a picture.")],
    candidates: Annotated[list[str], typer.Argument(help="Pictures; with --texts, texts.")],
    bundle: BundleOption = None,
    index: IndexOption = None,
    top_k: Annotated[int | None, typer.Option("--top-k", "-k", min=1, help="Maximum number of results.")] = None,
    texts: Annotated[bool, typer.Option("--texts", help="Rank texts by how well they describe one picture.")] = False,
    rerank_top_k: RerankOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rank a few pictures by a text, or texts by a picture; no index needed."""
    exit_on_closed_pipe()
    from imtext.search import create_predictor
    from imtext.search.query import picture_file

    if texts and not picture_file(query) and (picture := next(filter(picture_file, candidates), None)):
        raise SearchError(f'With --texts the picture comes first: imtext rank --texts {picture} "{query}"')
    if texts and rerank_top_k:
        raise SearchError("--rerank-top-k orders pictures by a text; it does not go with --texts")
    predictor = create_predictor(find_model(bundle, index))
    if texts:
        ranked = predictor.rank_texts(query, candidates, top_k)
        rows = [(text.text, text.score, text.relevance) for text in ranked]
    else:
        pictures = predictor.rank_images(query, candidates, top_k, rerank_top_k)
        _print_notes(predictor.query_notes(query))
        rows = [(picture.path, picture.score, picture.relevance) for picture in pictures]
    if as_json:
        print(json.dumps([json_row("text" if texts else "path", *row) for row in rows], indent=2))
    else:
        print_rows((*row, "") for row in rows)
