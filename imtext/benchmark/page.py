"""The results of all benchmarks as one page in HTML, which needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from html import escape
from pathlib import Path
from typing import Any

BARS = 70  # per cent of the width; the values stand beside the bars
STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre { overflow-x: auto; font-size: .8rem; line-height: 1.35 }
table { border-collapse: collapse } td, th { text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top }
.bars { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 1rem 0; overflow-x: auto }
.line { display: flex; gap: .5rem; white-space: nowrap }
.bar { flex: none; background: #4a7bd0; border-radius: .2rem } .other .bar { background: #8a8f98 }
.other, .own { display: contents }
"""


@dataclass(frozen=True)
class Bar:
    """One bar of a chart.

    Attributes:
        name: of what was measured.
        value: its length.
        own: is it imtext, not another program?
    """

    name: str
    value: float
    own: bool = True


@dataclass(frozen=True)
class Chart:
    """Bars of one unit.

    Attributes:
        title: of the chart.
        unit: of the values.
        bars: the first one is what the others are compared with.
    """

    title: str
    unit: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Part:
    """One benchmark.

    Attributes:
        title: of the section.
        command: what measures it alone.
        seconds: how long it took.
        printed: what it prints; or why it could not run.
        charts: what people would rather see.
        found: all results; None if it could not run.
    """

    title: str
    command: str
    seconds: float
    printed: str
    charts: Sequence[Chart] = ()
    found: dict[str, Any] | None = field(default=None, repr=False)


def write_page(path: Path, found: dict[str, Any]) -> None:
    """Write the results of `benchmark_all`, and print where they are.

    Raises:
        OSError: the file cannot be written.
    """
    facts = "".join(f"<tr><th>{escape(name)}<td>{escape(str(value))}" for name, value in found["machine"].items())
    sections = "".join(map(_section, found["parts"]))
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>imtext benchmarks</title><style>{STYLE}</style><h1>imtext benchmarks</h1><table>{facts}</table>"
        f"{sections}</html>\n",
        encoding="utf-8",
    )
    print(f"Page: {path.absolute()}")


def _section(part: Part) -> str:
    values = json.dumps(part.found, indent=2, default=plain) if part.found is not None else ""
    details = f"<details><summary>All values</summary><pre>{escape(values)}</pre></details>" if values else ""
    return (
        f"<h2>{escape(part.title)}</h2><p><code>{escape(part.command)}</code>, {part.seconds:.0f} s</p>"
        f"{''.join(map(_chart, part.charts))}<pre>{escape(part.printed)}</pre>{details}"
    )


def _chart(chart: Chart) -> str:
    longest = max((bar.value for bar in chart.bars), default=0) or 1
    first = next((bar.value for bar in chart.bars), 0) or 1
    bars = "".join(
        f'<div class="{"own" if bar.own else "other"}"><div>{escape(bar.name)}</div><div class="line">'
        f'<div class="bar" style="width: {BARS * bar.value / longest:.1f}%"></div>'
        f"<span>{bar.value:,.2f} {escape(chart.unit)}, {bar.value / first:.2f} ×</span></div></div>"
        for bar in chart.bars
    )
    better = "more" if chart.unit.endswith("/s") else "less"
    return f'<h3>{escape(chart.title)}: {better} is better</h3><div class="bars">{bars}</div>'


def plain(value: object) -> object:
    """Convert values that JSON does not support."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
