"""Memory that a phase has freed goes back to the system before the next one asks for more."""

import ctypes
import gc
from functools import cache

_M_ARENA_MAX = -8
"""The parameter of mallopt(3) that bounds how many heaps the threads share."""


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def bound_heaps() -> None:
    """Let all threads share two heaps: with one each, every endpoint's largest moment stays on the books for ever."""
    if hasattr(_libc(), "mallopt"):
        _libc().mallopt(_M_ARENA_MAX, 2)


def give_back() -> None:
    """Return what was freed to the system (glibc only; elsewhere it is left to the allocator)."""
    gc.collect()
    if hasattr(_libc(), "malloc_trim"):
        _libc().malloc_trim(0)
