"""The `imtext` command: index pictures and search them.

It starts without torch. Exit codes: 0 success, 1 nothing found, 2 an error, which one line on standard error explains.
"""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

import imtext
from imtext.cli import (
    agents,
    bundles,
    calibrating,
    demo,
    duplicates,
    indexing,
    pretrained,
    registry,
    searching,
    serving,
    sharing,
    tagging,
)
from imtext.errors import ImtextError

ERROR = 2

app = typer.Typer(
    name="imtext",
    help="Search your photos with the model you trained, or with a ready one.",
    epilog="Train with: python -m imtext.train model=mobilenet_lstm",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command()(indexing.index)
app.command(cls=searching.SearchCommand)(searching.search)
app.command()(searching.rank)
app.command()(duplicates.duplicates)
app.command(context_settings={"ignore_unknown_options": True})(bundles.export)
app.command()(registry.register)
app.command(context_settings={"ignore_unknown_options": True})(registry.promote)
app.command()(tagging.tag)
app.command()(pretrained.bundle)
app.command()(calibrating.calibrate)
app.command()(serving.serve)
app.command()(agents.mcp)
app.command()(bundles.info)
app.command()(bundles.check)
app.command()(sharing.card)
app.command()(sharing.push)
app.command()(sharing.pull)
app.command()(demo.demo)


@app.callback(invoke_without_command=True)
def print_version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Answer `imtext --version`."""
    if version:
        print(f"imtext {imtext.__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; errors that a user can fix become one line instead of a traceback."""
    try:
        app(prog_name="imtext")
    except ImtextError as error:
        _fail(str(error))
    except OSError as error:  # a full disk, a folder without write permission
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(ERROR)
