"""`imtext register` and `imtext promote`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imtext.cli.options import find_bundle
from imtext.errors import needs

NameOption = Annotated[str, typer.Option("--name", help="Name of the registered model.")]


def register(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle or a run; default: the newest bundle below runs/.")
    ] = None,
    name: NameOption = "imtext",
) -> None:
    """Make a bundle the newest version of a model in MLflow's registry."""
    with needs("train"):
        from imtext.training.registry import bundle_run, register
    from imtext.search import load_bundle

    found = load_bundle(find_bundle(bundle))
    version = register(found, name, bundle_run(found))
    metrics = [f"{key} {value}" for key, value in version.tags.items() if key.startswith("1_")]
    print(f"{version.uri} ({', '.join(metrics)})")


def promote(
    version: Annotated[str, typer.Argument(help="Number of the version.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="The new place of the data: data.path=…")] = None,
    name: NameOption = "imtext",
    alias: Annotated[str, typer.Option(help="What the version is called from now on.")] = "champion",
    force: Annotated[bool, typer.Option("--force", help="Without comparing it with the present one.")] = False,
) -> None:
    """Give a version the name of the model in use, if it finds at least as much as the one that has it."""
    with needs("train"):
        from imtext.promote import promote

    done = promote(version, name, alias, overrides or [], force)
    if done.champion is not None and done.difference is not None:
        print(f"{'R@10':<16}{'text→image':>12}{'image→text':>12}")
        for place, one in enumerate((done.challenger, done.champion)):
            print(f"version {one.number:<8}" + "".join(f"{both[place]:>12.1f}" for both in done.recalls.values()))
        print(f"difference {done.difference} points, mean of both, ± half of a 95 % interval over pictures")
    print(f"models:/{name}@{alias} is version {done.challenger.number}")
