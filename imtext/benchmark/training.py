"""The speed of training, compared with a plain loop over the same data."""

from __future__ import annotations

import logging
import warnings
from tempfile import TemporaryDirectory
from typing import Any

from lightning.pytorch import seed_everything
from rich import box
from rich.console import Console
from rich.table import Table

from imtext.benchmark.plain_loop import time_plain_loop
from imtext.benchmark.reach import time_to_reach
from imtext.benchmark.recipe import build_recipe
from imtext.benchmark.stages import time_stages
from imtext.config.compose import compose_config
from imtext.config.memory import speed_up_memory
from imtext.config.schema import check_config
from imtext.training.devices import settle_device


def benchmark_training(overrides: list[str], steps: int, reach: int = 0) -> dict[str, Any]:
    """Measure every stage of a recipe, and a plain loop over the same data.

    Args:
        overrides: overrides of the recipe's configuration.
        steps: number of steps to measure in each stage and in the plain loop.
        reach: if above 0, also train the plain loop for this many epochs, and the recipe until it is as good.

    Returns:
        `stages` and `plain` (`Speed`), `ratio` (captions per second, slowest stage to plain loop), `device`, and with
        `reach` the results of `time_to_reach`.
    """
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with TemporaryDirectory(prefix="imtext-benchmark-") as folder:
        # An empty cache, because the benchmark includes filling it.
        config = compose_config("train", [*overrides, f"paths.output_dir={folder}", f"data.cache_dir={folder}"])
        check_config(config)
        settle_device(config.trainer)
        speed_up_memory()
        seed_everything(config.seed, verbose=False)
        data, module = build_recipe(config)
        stages = list(time_stages(config, data, module, steps))
        plain = time_plain_loop(config, data, steps)
        found = {
            "stages": stages,
            "device": str(config.trainer.accelerator),
            "plain": plain,
            "ratio": min(speed.captions for speed in stages if speed.captions) / plain.captions,
        }
        return found | (time_to_reach(config, data, reach) if reach else {})


def print_training(found: dict[str, Any]) -> None:
    """Print the result of `benchmark_training` as a table."""
    table = Table(box=box.SIMPLE_HEAD, title="Training speed", title_justify="left")
    for column in ("what", "images/s", "captions/s", "waiting for data", "peak memory"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for speed in (*found["stages"], found["plain"]):
        captions = f"{speed.captions:,.0f}" if speed.captions else ""
        memory = f"{speed.memory / 1e9:.2f} GB"
        table.add_row(speed.what, f"{speed.images:,.0f}", captions, f"{100 * speed.waiting:.1f} %", memory)
    console = Console()
    console.print(table)
    console.print(f"Captions per second, slowest stage to plain loop: {found['ratio']:.1f} ×")
    if "plain_seconds" in found:
        console.print(
            f"Text→image R@10 {100 * found['plain_r@10']:.1f}: plain loop {found['plain_seconds']:.0f} s, recipe "
            f"{found['recipe_seconds']:.0f} s (R@10 {100 * found['recipe_r@10']:.1f}), "
            f"{found['plain_seconds'] / found['recipe_seconds']:.1f} × as fast"
        )
