"""Options that several verbs share, and the bundle that is used when none is named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from imtext.cli.printing import one_line
from imtext.errors import BundleError, SearchError, needs

IndexOption = Annotated[
    Path | None,
    typer.Option("--index", "-i", help="Folder of the index. Default: IMTEXT_INDEX, or one in your data folder."),
]
BundleOption = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        "-b",
        help="The model: a bundle, a training run, models:/imtext@champion of MLflow's registry; or a short name of "
        "imtext bundle --list, or hf://USER/NAME of a bundle on the Hugging Face hub, which are downloaded once. "
        "Default: the newest below runs/.",
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Where pictures, vectors and words are kept: lance:///absolute/folder or lance+s3://bucket/prefix, which "
        "several servers can read. Default: in the folder of the index.",
    ),
]
TopKOption = Annotated[int, typer.Option("--top-k", "-k", min=1, max=1000, help="Maximum number of results.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print a list of {path, score, relevance}.")]
MinRelevanceOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Hide results below this relevance (0 … 1). Default: the bundle's own threshold; 0 shows all.",
    ),
]

WordsOption = Annotated[
    bool,
    typer.Option(
        "--words/--no-words",
        help="Also find pictures by words in file names, folders, titles, captions, keywords, and in the pictures.",
    ),
]
RerankOption = Annotated[
    int | None,
    typer.Option(
        "--rerank-top-k",
        min=0,
        max=1000,
        help="Candidates that the model's re-ranker scores again; 0: none. Default: the model's own number, if it has "
        "a re-ranker.",
    ),
]
FoldOption = Annotated[
    bool, typer.Option("--fold/--no-fold", help="Leave out near duplicates of better results (default), or show all.")
]
ApproximateOption = Annotated[
    bool,
    typer.Option(
        "--approximate",
        help="Compare short vectors first: faster over hundreds of thousands of pictures, nearly exact.",
    ),
]
HostOption = Annotated[
    str, typer.Option(help="Address to listen on; other addresses than this machine's own need a token.")
]
TokenOption = Annotated[str | None, typer.Option(envvar="IMTEXT_TOKEN", help="A secret that every request must send.")]
AnyoneOption = Annotated[bool, typer.Option("--anyone", help="Let other machines send requests without a token.")]
NameOption = Annotated[
    list[str] | None, typer.Option(help="Another host name to serve, such as the name of a reverse proxy.")
]


def find_index(named: Path | None, index: Path | None) -> Path:
    """The folder of the index: as an argument of the verb, by `--index`, or the default.

    Raises:
        SearchError: both are named.
    """
    from imtext.search import default_index

    if named and index:
        raise SearchError(f"Name one index: either {named} or --index {index}")
    return named or index or default_index()


def find_model(bundle: Path | None, index: Path | None) -> Path:
    """The bundle for a verb that needs no index: `--bundle`, that of `--index`, or what `find_bundle` finds.

    Raises:
        SearchError: both are named, or there is no such index.
    """
    from imtext.search import default_index
    from imtext.search.index import own_bundle

    if index is None:
        return find_bundle(bundle, fallback=own_bundle(default_index()))
    if bundle is not None:
        raise SearchError(f"Name one model: either --bundle {bundle} or that of --index {index}")
    if (own := own_bundle(index)) is None:
        raise SearchError(f"There is no index in {index}. Create one: imtext index <folder> --index {index}")
    return own


ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Leave out files and folders by a pattern as in .gitignore: '*.png', 'Screenshots/'. Repeatable. "
        "Default: as before; '' leaves out nothing any more. A file .imtextignore in a folder holds patterns, too.",
    ),
]
GridsOption = Annotated[
    bool | None,
    typer.Option(
        "--grids/--no-grids",
        help="Of a model with a re-ranker: store the places of each picture, or compute them from files in each "
        "search. Default: store them, or as it was done before.",
    ),
]
HiddenOption = Annotated[
    bool | None,
    typer.Option(
        "--include-hidden/--no-include-hidden",
        help="Also read hidden files, and folders such as @eaDir, #recycle and .thumbnails. Default: as before.",
    ),
]
RebuildOption = Annotated[
    bool, typer.Option("--rebuild", help="Embed everything again; needed to switch to another --bundle.")
]
VerifyOption = Annotated[
    bool, typer.Option("--verify", help="Read every picture, to find changes that date and size do not show.")
]
OcrOption = Annotated[bool, typer.Option("--ocr", help="Then read text in pictures, such as signs; each picture once.")]
EngineOption = Annotated[
    Literal["local", "ray"],
    typer.Option(help="Embed in this process, or on all workers of a cluster of Ray. This process writes the index."),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="With --engine ray: a cluster that has a node on this machine, or auto. Default: RAY_ADDRESS, or the "
        "cores of this machine.",
    ),
]
WatchOption = Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C, with an update after every change.")]


def find_bundle(named: Path | None, fallback: Path | None = None) -> Path:
    """The bundle to use: the named one, else the newest below `runs/`, else `fallback`.

    A recommended model or a bundle on the hub that is named is downloaded once.

    A bundle that was not named on the command line is printed to standard error.

    Raises:
        BundleError: a named model cannot be downloaded; or none was named, there is none below `runs/`, and there is no
            `fallback`.
    """
    from imtext.search import newest_bundle, runs_dir
    from imtext.search.pretrained import named_bundle

    if named is not None and str(named).startswith("models:/"):  # of MLflow's registry
        with needs("train"):
            from imtext.training.registry import registered_bundle
        return registered_bundle(str(named)).path
    if named is not None:
        return named_bundle(named)
    try:
        chosen = newest_bundle(runs_dir())
    except BundleError:
        if fallback is None:
            raise
        chosen = fallback
    print(f"Model: {one_line(str(chosen))}", file=sys.stderr)
    return chosen
