"""`imtext bundle`: an exported CLIP model becomes a bundle."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from imtext.errors import BundleError, needs

if TYPE_CHECKING:
    from imtext.search import Bundle
    from imtext.search.pretrained import Source


def bundle(
    model: Annotated[
        str | None,
        typer.Argument(help="A short name of --list, owner/name of a model on the Hugging Face hub, or its folder."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: a folder of its name in your data folder.")
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16", "quantized"] | None,
        typer.Option(help="Of the graphs, where there are several. Default: the best there is."),
    ] = None,
    max_text_length: Annotated[
        int | None, typer.Option(min=2, help="Tokens of a text, if fewer than the model reads are enough.")
    ] = None,
    list_models: Annotated[bool, typer.Option("--list", help="Describe the recommended models.")] = False,
) -> None:
    """Make a bundle of a ready CLIP model, to search without training.

    Models with ONNX graphs (immich-app/…, Xenova/…, onnx-community/…) need no torch. Those of OpenCLIP and transformers
    are exported, which needs it.
    """
    from imtext.search.pretrained import RECOMMENDED, default_output, made_before, make_bundle, open_source

    if list_models:
        _print_recommended()
        return
    if model is None:
        raise BundleError("Name a model: imtext bundle <model>, and imtext bundle --list names some")
    folder = output or default_output(model)
    if precision is None and model in RECOMMENDED:
        precision = RECOMMENDED[model].precision
    if made := made_before(model, folder, precision, max_text_length):
        print(f"Bundle: {made.path} (made before)")
        return
    source = open_source(model)
    if source.extra is not None:
        if precision or max_text_length:
            raise BundleError(f"--precision and --max-text-length are for models with ONNX graphs; {model} has none")
        made = _export(source, folder)
    else:
        made = make_bundle(source, folder, precision, max_text_length)
        _print_facts(made, precision)
    print(f"Bundle: {made.path}")


def _print_facts(made: Bundle, wanted: str | None) -> None:
    """Print to standard error what was made of the model."""
    tags = made.manifest["tags"]
    taken = f"{tags['precision']}{'' if wanted or tags['precision'] == 'fp32' else ', as there is no fp32'}"
    print(
        f"{made.manifest['name']}: layout of {tags['layout']}, {taken}; {made.embed_dim} dimensions, "
        f"{made.preprocess.image_size} pixels, {made.vocabulary.max_length} tokens",
        file=sys.stderr,
    )


def _export(source: Source, folder: Path) -> Bundle:
    """Convert weights of torch, which needs more than the base install."""
    assert source.extra is not None
    with needs(source.extra):  # this extra includes that of training
        made: Bundle = import_module("imtext.export").export_pretrained(source.name, folder)
    return made


def _print_recommended() -> None:
    """Print the recommended models, two lines each."""
    from imtext.search.pretrained import RECOMMENDED, START

    for short, one in RECOMMENDED.items():
        recall = "" if one.recall is None else f"  recall {one.recall:.0f} %"
        size = f"{one.megabytes:,} MB, {one.embed_dim} dimensions, {one.image_size} pixels"
        print(f"{short:<15} {one.when}{recall}")
        print(f"{'':<15} {one.repository}: {size}, {one.licence}, {one.languages}")
    print(
        "Recall: mean of R@1, 5 and 10 in English on Crossmodal-3600, published by Immich; all facts are as "
        f"published.\nUse one: imtext index ~/Pictures --bundle {START}"
    )
