"""What a fact is: one command of the batch, and how to read what it printed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NOT_APPLICABLE = 77
"""Exit status by which a fact's command says that there is nothing to see on this kind of endpoint."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact: the fields of Observation that it fills, the command, how to read it, and whether it needs an init.

    Facts that fill the same mapping of an Observation are merged. ``parse`` raises ValueError, LookupError or TypeError
    for what it cannot read; the fact is then unknown.
    """

    name: str
    command: str
    parse: Callable[[str], dict[str, Any]]
    needs_init: bool = False
