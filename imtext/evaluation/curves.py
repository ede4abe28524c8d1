"""Line charts, such as loss, recall and temperature over the epochs of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

Points = Sequence[tuple[float, float]]
MARKED_POINTS = 40  # lines with fewer points get markers


def draw_curves(curves: Mapping[str, Mapping[str, Points]], path: Path, xlabel: str = "epoch") -> None:
    """Save line charts side by side.

    Args:
        curves: title of each chart → name of each line → points (x, value).
        path: path of the picture, such as `curves.png`.
        xlabel: what x is.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(curves), 3.2), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        for name, points in lines.items():
            marker = "." if len(points) < MARKED_POINTS else ""
            axes.plot([x for x, _ in points], [y for _, y in points], label=name, marker=marker)
        axes.set(title=title, xlabel=xlabel)
        axes.grid(alpha=0.3)
        if lines:
            axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)
