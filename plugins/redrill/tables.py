"""Tables for the terminal."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 200


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; where nobody looks, 200 columns wide."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        # As Text, so that a bracket in a value is not read as markup.
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)
