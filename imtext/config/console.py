"""Log lines on the screen."""

from __future__ import annotations

import logging
import time

from rich import get_console


class ConsoleHandler(logging.Handler):
    """Log lines above a running progress bar, never broken: a path or a command can be copied as it stands."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        style = {"WARNING": "yellow", "ERROR": "red"}.get(record.levelname)
        level = f"{record.levelname}: " if style else ""
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        get_console().print(
            f"{at} {level}{self.format(record)}", style=style, soft_wrap=True, markup=False, highlight=False
        )
