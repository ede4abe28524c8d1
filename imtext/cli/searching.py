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

from imtext.cli.options import (
    BundleOption,
    IndexOption,
    JsonOption,
    MinRelevanceOption,
    RerankOption,
    TopKOption,
    find_model,
)
from imtext.cli.printing import CALIBRATE, exit_on_closed_pipe, json_row, print_results, print_rows, write_page
from imtext.errors import SearchError

if TYPE_CHECKING:
    from imtext.search import SearchResult

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
    min_relevance: MinRelevanceOption = None,
    rerank_top_k: RerankOption = None,
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
    """Find pictures by words, by a picture, or by arithmetic over both."""
    exit_on_closed_pipe()
    from imtext.search import Index, default_index, parse_query
    from imtext.search.query import query_notes

    texts = _read_queries(query, queries)
    opened = Index(index or default_index())
    parsed = [parse_query(text) for text in texts]
    found = list(zip(texts, opened.search_batch(parsed, top_k, min_relevance, rerank_top_k), strict=True))
    for terms in parsed:
        _print_notes(query_notes(terms, opened.encoder.tokenizer))
    if as_json:
        _print_json(found, batch=queries is not None)
    elif paths_only:
        _print_paths(found, b"\0" if null else b"\n")
    else:
        for text, results in found:
            if len(found) > 1:
                print(f"# {text}")
            print_results(results, len(opened), show)
        if opened.bundle.calibration is None:
            _print_notes([f"this model gives scores, but no per cents; to add them: {CALIBRATE}"])
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


def _print_json(found: Sequence[tuple[str, Sequence[SearchResult]]], batch: bool) -> None:
    """Print one list of results; with `batch` one line per query."""
    for text, results in found:
        rows = [json_row("path", result.path, result.score, result.relevance) for result in results]
        print(json.dumps({"query": text, "results": rows}) if batch else json.dumps(rows, indent=2))


def _print_paths(found: Sequence[tuple[str, Sequence[SearchResult]]], end: bytes) -> None:
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
