"""Progress on standard error, where that is a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress, ProgressColumn, TimeElapsedColumn, TimeRemainingColumn


def progress(*columns: ProgressColumn) -> Progress:
    """Rich's, with these columns before the time that has gone and that is left."""
    console = Console(stderr=True, highlight=False)
    return Progress(
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
