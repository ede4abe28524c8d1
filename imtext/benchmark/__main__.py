"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import imtext.benchmark
from imtext.benchmark.page import plain, write_page
from imtext.errors import ImtextError, needs

SIZES = (1_000, 10_000, 100_000, 1_000_000)


def main() -> None:
    """Measure, print the result, and write it to a file with `--json`."""
    args = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        measure, show = _chosen(args)
        found = measure()
    except ImtextError as error:
        raise SystemExit(f"error: {error}") from None
    if args.json:
        args.json.write_text(json.dumps(found, indent=2, default=plain))
    show(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m imtext.benchmark", description=imtext.benchmark.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="training steps of each stage, compared with a plain loop")
    train.add_argument("overrides", nargs="*", help="settings as for imtext.train: experiment=… data.path=…")
    train.add_argument("--steps", type=int, default=20, help="steps to measure in each stage (default: %(default)s)")
    train.add_argument(
        "--reach", type=int, default=0, metavar="EPOCHS",
        help="also train until the recipe is as good as this many epochs of the plain loop",
    )  # fmt: skip
    processes = commands.add_parser("processes", help="training steps in several processes, compared with one")
    processes.add_argument("overrides", nargs="*", help="settings as for imtext.train (default: experiment=quickstart)")
    processes.add_argument("--processes", type=int, default=2, help="each on one core (default: %(default)s)")
    processes.add_argument("--steps", type=int, default=20, help="steps of each run (default: %(default)s)")
    processes.add_argument("--repeats", type=int, default=5, help="runs of each kind (default: %(default)s)")
    search = commands.add_parser("search", help="text query → top 10, compared with FAISS, USearch and LanceDB")
    search.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="sizes of the galleries")
    search.add_argument("--queries", type=int, default=300, help="queries for each size (default: %(default)s)")
    search.add_argument("--starts", type=int, default=5, help="new processes that search (default: %(default)s)")
    index = commands.add_parser("index", help="pictures per second, compared with a plain torch loop")
    index.add_argument("--pictures", type=Path, help="folder of photos (default: generate some)")
    index.add_argument("--count", type=int, default=1_000, help="number of pictures to generate (default: %(default)s)")
    index.add_argument("--size", type=_size, default=(500, 375), help="in pixels: 4000x3000; default: 500x375")
    index.add_argument("--unchanged", type=int, default=10_000, help="files of an update without changes")
    serve = commands.add_parser("serve", help="a server under load")
    serve.add_argument("--size", type=int, default=10_000, help="number of pictures (default: %(default)s)")
    serve.add_argument("--rates", type=float, nargs="+", default=[200], help="searches per second")
    serve.add_argument("--seconds", type=float, default=20, help="duration of each rate (default: %(default)s)")
    models = commands.add_parser("models", help="several models side by side: pictures per second, time of a query")
    models.add_argument("bundles", type=Path, nargs="+", help="the models: bundles, or runs")
    models.add_argument("--pictures", type=Path, help="folder of photos (default: generate some)")
    models.add_argument("--count", type=int, default=200, help="number of pictures (default: %(default)s)")
    rerank = commands.add_parser("rerank", help="a query without a re-ranker, with stored grids, with grids from files")
    rerank.add_argument("--pictures", type=Path, help="folder of photos (default: generate some)")
    rerank.add_argument("--count", type=int, default=1_000, help="pictures to generate (default: %(default)s)")
    _add_studies(commands)
    whole = commands.add_parser("all", help="training, indexing, search, models and a server, as a page in HTML")
    whole.add_argument("overrides", nargs="*", help="settings of the training (default: experiment=quickstart)")
    whole.add_argument("--output", "-o", type=Path, default=Path("benchmark.html"), help="default: %(default)s")
    whole.add_argument("--quick", action="store_true", help="small galleries and few rounds, in three minutes")
    for command in (models, whole):
        command.add_argument(
            "--peer", action="append", default=[], metavar="LIBRARY=MODEL",
            help="also measure a library's own loop: open_clip=local-dir:<folder>, transformers=<folder>",
        )  # fmt: skip
    for command in (search, index, serve, rerank, whole):
        command.add_argument("--bundle", type=Path, help="the model (default: the newest bundle in runs/)")
    for command in commands.choices.values():
        command.add_argument("--json", type=Path, help="write all results to this file")
    return parser


def _add_studies(commands: Any) -> None:
    """Add the benchmarks of what is found, not of speed."""
    copies = commands.add_parser("copies", help="how many copies of photos are recognised, and how many others are")
    copies.add_argument("--pictures", type=Path, required=True, help="folder of photos, all different")
    copies.add_argument("--count", type=int, default=1_000, help="number of photos to change (default: %(default)s)")
    vectors = commands.add_parser("vectors", help="what exact and approximate search find among very many pictures")
    vectors.add_argument("run", type=Path, help="a run with a bundle")
    vectors.add_argument("--bundle", type=Path, help="a smaller bundle of this run (default: its own)")
    vectors.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000], help="sizes of the galleries")
    vectors.add_argument("--queries", type=int, default=500, help="number of captions (default: %(default)s)")

    scale = commands.add_parser("scale", help="how search grows from thousands of vectors to millions")
    scale.add_argument("run", type=Path, help="a run with a bundle; vectors are drawn as its pictures lie")
    scale.add_argument("--dim", type=int, default=256, help="numbers of a vector (default: %(default)s)")
    sizes = [10_000, 100_000, 1_000_000]
    scale.add_argument("--sizes", type=int, nargs="+", default=sizes, help="numbers of vectors, ascending")
    scale.add_argument("--exact-up-to", type=int, default=1_000_000, help="of more, only the index is measured")
    scale.add_argument("--queries", type=int, default=100, help="number of captions (default: %(default)s)")
    scale.add_argument("--folder", type=Path, help="for temporary files: 2 kB for each vector of 256 numbers")
    scale.add_argument("--plot", type=Path, help="draw the results into this file: .png, .svg")


def _size(text: str) -> tuple[int, int]:
    """``4000x3000`` → its two numbers; argparse explains a ValueError."""
    width, height = text.split("x")
    return int(width), int(height)


def _chosen(args: argparse.Namespace) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """The functions that run the chosen benchmark and print its result."""
    if args.command == "train":
        with needs("train"):
            from imtext.benchmark.training import benchmark_training, print_training

        return lambda: benchmark_training(args.overrides, args.steps, args.reach), print_training
    if args.command == "processes":
        with needs("train"):
            from imtext.benchmark.processes import benchmark_processes, print_processes

        recipe = args.overrides or ["experiment=quickstart"]
        return lambda: benchmark_processes(recipe, args.processes, args.steps, args.repeats), print_processes
    if args.command == "scale":
        with needs("train"):
            from imtext.benchmark.scale_plot import benchmark_run, print_and_plot

        return partial(benchmark_run, args.run, args.dim, args.sizes, args.exact_up_to, args.queries, args.folder), (
            partial(print_and_plot, path=args.plot)
        )
    if args.command == "vectors":
        with needs("train"):
            from imtext.benchmark.vectors import benchmark_vectors, print_vectors

        return lambda: benchmark_vectors(args.run, args.bundle or args.run, args.sizes, args.queries), print_vectors
    from imtext.search import load_bundle, newest_bundle, runs_dir

    if args.command == "models":
        from imtext.benchmark.models import benchmark_models, print_models
        from imtext.benchmark.peers import find_peer

        bundles, peers = [load_bundle(path) for path in args.bundles], [find_peer(each) for each in args.peer]
        return lambda: benchmark_models(bundles, peers, args.pictures, args.count), print_models
    if args.command == "copies":
        from imtext.benchmark.copies import benchmark_copies, print_copies

        return lambda: benchmark_copies(args.pictures, args.count), print_copies
    bundle = load_bundle(args.bundle or newest_bundle(runs_dir()))
    if args.command == "all":
        from imtext.benchmark.everything import benchmark_all

        if not args.output.absolute().parent.is_dir():
            raise ImtextError(f"--output {args.output}: there is no folder {args.output.absolute().parent}")
        measure = partial(benchmark_all, bundle, args.overrides, args.peer, args.quick)
        return measure, partial(write_page, args.output)
    if args.command == "serve":
        from imtext.benchmark.serving import benchmark_serving, print_serving

        return lambda: benchmark_serving(bundle, args.size, args.rates, args.seconds), print_serving
    if args.command == "search":
        from imtext.benchmark.searching import benchmark_search, print_search

        return lambda: benchmark_search(bundle, args.sizes, args.queries, args.starts), print_search
    if args.command == "rerank":
        from imtext.benchmark.reranking import benchmark_rerank, print_rerank

        return lambda: benchmark_rerank(bundle, args.pictures, args.count), print_rerank
    from imtext.benchmark.indexing import benchmark_index, print_index

    return lambda: benchmark_index(bundle, args.pictures, args.count, args.size, args.unchanged), print_index


if __name__ == "__main__":
    main()
