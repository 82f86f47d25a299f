"""Memory that a phase has freed goes back to the system before the next one asks for more."""

import ctypes
import gc
from functools import cache

_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3
"""Parameters of mallopt(3): how many heaps the threads share, and from which size on a block is mapped by itself."""

_LARGE = 1 << 17


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def bound_heaps() -> None:
    """Let all threads share one heap, and map large blocks by themselves, so that they go back once they are freed.

    Else every thread's largest moment stays on the books for ever: a drill has several threads an endpoint. What is
    there already stays to the end, so that no later collection looks at it.
    """
    gc.collect()
    gc.freeze()
    if hasattr(_libc(), "mallopt"):
        _libc().mallopt(_M_ARENA_MAX, 1)
        _libc().mallopt(_M_MMAP_THRESHOLD, _LARGE)


def give_back() -> None:
    """Return what was freed to the system (glibc only; elsewhere it is left to the allocator)."""
    gc.collect()
    if hasattr(_libc(), "malloc_trim"):
        _libc().malloc_trim(0)
