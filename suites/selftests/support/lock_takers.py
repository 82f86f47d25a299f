"""Processes of their own that take locks."""

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any

from redrill.drill.locks import LockStore, hold, open_locks
from redrill.errors import EndpointBusyError
from redrill.model.fleet import Backend, Fleet

_HOLD = """
import sys
from selftests.support.lock_takers import store_of
from redrill.drill.locks import hold
with hold(store_of(eval(sys.argv[1])), "web-1", sys.argv[2], sys.argv[3]) as lock:
    if sys.argv[4]:
        lock.hold_for_recovery(sys.argv[4])
    print("held", flush=True)
    sys.stdin.read()
"""


def store_of(backend: dict[str, Any]) -> LockStore:
    """Open the lock store that a fleet would declare so."""
    locks = Backend.model_validate(backend)
    return open_locks(Fleet(name="locks", source=Path("locks.yml"), endpoints=(), locks=locks))


@contextmanager
def holder(backend: dict[str, Any], identity: str, run: str, recovery: str = "") -> Iterator[subprocess.Popen[str]]:
    """Have another process hold an endpoint, for recovery if so said, until its standard input is closed."""
    command = [sys.executable, "-c", _HOLD, repr(backend), identity, run, recovery]
    suites = str(Path(__file__).parents[2])
    with subprocess.Popen(
        command, cwd=suites, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "held\n":
                raise RuntimeError(f"nothing is held: {process.stderr.read() if process.stderr else ''}")
            yield process
        finally:
            process.kill()


def race(backend: dict[str, Any], identities: list[str]) -> list[list[str]]:
    """Let two processes try to hold each identity at the same moment; return what each got, in that order."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        barrier = manager.Barrier(2, timeout=60)
        with context.Pool(2) as pool:
            takers = [(backend, run, identities, barrier) for run in ("run-a", "run-b")]
            return pool.starmap(_take_all, takers, chunksize=1)


def _take_all(backend: dict[str, Any], run: str, identities: list[str], barrier: Barrier) -> list[str]:
    return [_take(backend, run, identity, barrier) for identity in identities]


def _take(backend: dict[str, Any], run: str, identity: str, barrier: Barrier) -> str:
    store = store_of(backend)
    barrier.wait()
    try:
        with hold(store, "web-1", identity, run):
            barrier.wait()  # the other has tried by now
            return "held"
    except EndpointBusyError as error:
        barrier.wait()
        return f"busy {error.exit_code}"
