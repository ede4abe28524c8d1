"""`imtext export`, `imtext info` and `imtext check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from imtext.cli.options import IndexOption, find_index
from imtext.cli.printing import CALIBRATE, one_line
from imtext.errors import needs

if TYPE_CHECKING:
    from imtext.search import Bundle


def export(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint, a run's folder, or last | best of the newest run.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: bundle/ in the run's folder.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="The new place of the data: data.path=…")] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Numbers of 8 bits: a quarter of the size.")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Weights of 16 bits: half of the size.")] = False,
    dim: Annotated[int | None, typer.Option(min=2, help="Numbers of an embedding: fewer make indexes small.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Keep smaller numbers although they find less.")] = False,
    tensorrt: Annotated[
        bool, typer.Option("--tensorrt", help="Also build the engines of TensorRT for this GPU, in minutes.")
    ] = False,
) -> None:
    """Export a trained model as a bundle, and check that it gives the same results."""
    with needs("train"):
        from imtext.export import export_run
    from imtext.search.engines import build_engines, require_tensorrt

    if tensorrt:
        require_tensorrt()
    if int8 and fp16:
        raise typer.BadParameter("Choose one of --int8 and --fp16")
    precision: Literal["float32", "float16", "int8"] = "int8" if int8 else "float16" if fp16 else "float32"
    bundle = export_run(checkpoint, output, overrides or [], precision, force, dim)
    print(f"Bundle: {bundle.path}")
    if tensorrt:
        print(f"Engines: {build_engines(bundle)}")


def info(
    path: Annotated[
        Path | None, typer.Argument(help="A bundle, a training run, or an index; default: the index as for search.")
    ] = None,
    index: IndexOption = None,
) -> None:
    """Describe a bundle or an index."""
    from imtext.search import Index, load_bundle

    if path is not None and index is None and not Index.exists(path):
        _print_bundle(load_bundle(path))
        return
    path = find_index(path, index)
    opened = Index(path)
    print(f"index        {path.absolute()}")
    print(f"pictures     {len(opened):,}")
    print(f"sources      {', '.join(map(one_line, opened.store.sources()))}")
    if opened.rules.exclude:
        print(f"excluded     {', '.join(map(one_line, opened.rules.exclude))}")
    if opened.rules.include_hidden:
        print("hidden       files and folders are read, too")
    if opened.bundle.reranker:
        print(f"grids        {'stored' if opened.has_grids else 'not stored: a search computes them from files'}")
    _print_bundle(opened.bundle)


def _print_bundle(bundle: Bundle) -> None:
    manifest = bundle.manifest
    print(f"bundle       {bundle.path}")
    print(f"model        {manifest['name']}, {bundle.embed_dim} dimensions, {bundle.preprocess.image_size} pixels")
    print(f"fingerprint  {bundle.fingerprint}")
    precision = f", {manifest['precision']}" if "precision" in manifest else ""
    print(f"files        {', '.join(manifest['files'])} ({bundle.megabytes:.1f} MB{precision})")
    if parameters := manifest.get("parameters"):
        print(f"parameters   image {parameters['image'] / 1e6:.1f} M, text {parameters['text'] / 1e6:.1f} M")
    metrics = manifest["metrics"]
    for split in ("val", "test"):
        if f"{split}/t2i_r@10" in metrics and f"{split}/i2t_r@10" in metrics:
            print(
                f"{split:<12} R@10 text→image {100 * metrics[f'{split}/t2i_r@10']:.1f} %, image→text "
                f"{100 * metrics[f'{split}/i2t_r@10']:.1f} % of {metrics[f'{split}/num_images']:.0f} images"
            )
        if f"{split}/rerank_t2i_r@10" in metrics:
            print(f"{'':<12} re-ranked R@10 text→image {100 * metrics[f'{split}/rerank_t2i_r@10']:.1f} %")
    if reranker := bundle.reranker:
        places, dim = reranker.grid
        print(
            f"re-ranker    scores the best {reranker.top_k} again, by {places} places × {dim} numbers in a picture "
            f"({reranker.grid_bytes / 1000:.1f} kB)"
        )
    if calibration := (reranker or bundle).calibration:
        print(
            f"relevance    shown from {100 * calibration.min_relevance:.0f} % on, calibration error "
            f"{100 * calibration.error:.1f} points; {100 * calibration.refused:.0f} % of queries without a match "
            "in the gallery get no result"
        )
    else:
        print(f"relevance    none: results have scores only. To calibrate: {CALIBRATE}")
    for name, value in manifest["tags"].items():
        print(f"{name:<12} {value}")


def check(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WHAT]...",
            help="Bundles, runs and indexes; or settings, such as optim.lr=1e-3. Default: the index as for search, or "
            "the default settings if there is no index.",
        ),
    ] = None,
    index: IndexOption = None,
) -> None:
    """Check bundles and indexes (all files, and a test embedding), or the settings of a run."""
    from imtext.search import Index, default_index

    targets = targets or []
    if index or (not targets and Index.exists(default_index())):
        _check_folder(find_index(None, index), is_index=True)
        if not targets:
            return
    settings = [target for target in targets if "=" in target and not Path(target).exists()]
    for target in targets:
        if target not in settings:
            _check_folder(Path(target), Index.exists(Path(target)))
    if settings or not targets:
        with needs("train"):
            from imtext.config.compose import check_overrides

        check_overrides("train", settings)
        print(f"ok: settings {' '.join(settings)}" if settings else "ok: default settings")


def _check_folder(path: Path, is_index: bool) -> None:
    """Check one bundle or index: its files, one embedding of a text and of a picture, and the stored vectors."""
    import numpy as np

    from imtext.search import Encoder, Index, load_bundle

    opened = Index(path) if is_index else None
    encoder = opened.encoder if opened else Encoder(load_bundle(path))
    size = encoder.bundle.preprocess.image_size
    encoder.encode_texts(["a"])
    black = [np.zeros((size, size, 3), dtype=np.uint8)]
    encoder.encode_images(black)
    if encoder.bundle.reranker:
        encoder.rerank("a", encoder.encode_images_and_grids(black)[1], np.zeros(1, dtype=np.float32))
    if opened:
        print(f"ok: index {path.absolute()}, {opened.store.check():,} pictures")
    else:
        print(f"ok: bundle {encoder.bundle.path}")
