"""The log handler of the screen."""

from __future__ import annotations

import logging
import time

from rich import get_console


class ConsoleHandler(logging.Handler):
    """Print log lines above a running progress bar, without wrapping, so that paths and commands can be copied."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        style = {"WARNING": "yellow", "ERROR": "red"}.get(record.levelname)
        level = f"{record.levelname}: " if style else ""
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        get_console().print(
            f"{at} {level}{self.format(record)}", style=style, soft_wrap=True, markup=False, highlight=False
        )
