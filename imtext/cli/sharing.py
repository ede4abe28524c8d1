"""`imtext card`, `imtext push` and `imtext pull`: bundles on the Hugging Face hub."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imtext.cli.printing import one_line

if TYPE_CHECKING:
    from imtext.search import Bundle

BundleArgument = Annotated[Path, typer.Argument(help="A bundle, a training run, a short name, or hf://USER/NAME.")]
RepositoryArgument = Annotated[str, typer.Argument(metavar="USER/NAME", help="A repository on the Hugging Face hub.")]
LicenceOption = Annotated[
    str | None, typer.Option("--license", help="Of the weights, such as mit or cc-by-4.0. Default: unknown.")
]
PATH = re.compile(r"(?:^|[\s=])(?:/|~|[A-Za-z]:[\\/])")


def card(
    bundle: BundleArgument,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file. Default: standard output.")] = None,
    licence: LicenceOption = None,
) -> None:
    """Write the model card of a bundle: what it is, what was measured, and its limits."""
    from imtext.search.card import model_card

    text = model_card(_open(bundle), licence)
    if output is None:
        print(text, end="")
    else:
        output.write_text(text, encoding="utf-8")


def push(
    bundle: BundleArgument,
    repository: RepositoryArgument,
    private: Annotated[bool, typer.Option("--private", help="Only you may read a new repository.")] = False,
    licence: LicenceOption = None,
) -> None:
    """Upload a bundle and its model card to the Hugging Face hub. Log in before: hf auth login, or HF_TOKEN."""
    from imtext.search.card import model_card
    from imtext.search.pretrained import push_bundle

    opened = _open(bundle)
    text = model_card(opened, licence, repository)
    if paths := [name for name, value in opened.manifest["tags"].items() if PATH.search(str(value))]:
        print(
            f"note: readers of {repository} see folders of this machine in its manifest: {', '.join(paths)}",
            file=sys.stderr,
        )
    print(f"Uploaded: {push_bundle(opened, repository, text, private)}")
    print(f"To use it: imtext index ~/Pictures --bundle hf://{repository}")


def pull(
    repository: RepositoryArgument,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit. Default: the newest.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: a folder of its name in your data folder.")
    ] = None,
) -> None:
    """Download a bundle from the Hugging Face hub and check it."""
    from imtext.search.pretrained import pull_bundle, shared_output

    pulled = pull_bundle(repository, output or shared_output(repository, revision), revision)
    print(f"Bundle: {one_line(str(pulled.path))}")


def _open(bundle: Path) -> Bundle:
    from imtext.search import load_bundle
    from imtext.search.pretrained import named_bundle

    return load_bundle(named_bundle(bundle))
