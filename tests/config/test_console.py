"""Log lines on the screen."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from imtext.config import console
from imtext.config.compose import compose_config
from imtext.config.console import ConsoleHandler
from imtext.config.paths import CONFIG_DIR


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(console, "get_console", lambda: Console(file=text, width=20))
    return text


def record(level: int, message: str) -> logging.LogRecord:
    return logging.LogRecord("imtext", level, __file__, 1, message, None, None)


def test_long_lines_are_not_wrapped_and_markup_is_not_read(screen: io.StringIO) -> None:
    message = "ckpt_path=/a/very/long/path/[bold]/checkpoints/last.ckpt"
    ConsoleHandler().emit(record(logging.INFO, message))
    assert screen.getvalue().rstrip("\n").endswith(f" {message}")


def test_only_warnings_and_errors_show_their_level(screen: io.StringIO) -> None:
    for level in (logging.INFO, logging.WARNING, logging.ERROR):
        ConsoleHandler().emit(record(level, "x"))
    assert [line.split(" ", 1)[1] for line in screen.getvalue().splitlines()] == ["x", "WARNING: x", "ERROR: x"]


def test_hydra_logs_through_it() -> None:
    compose_config("train", [])
    assert "imtext.config.console.ConsoleHandler" in (CONFIG_DIR / "hydra/job_logging/plain.yaml").read_text()
