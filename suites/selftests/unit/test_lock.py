"""One drill at a time for an endpoint."""

import subprocess
import sys

import pytest

from redrill.drill.lock import hold_endpoint
from redrill.errors import EndpointBusyError

_HOLD = """
import sys
from redrill.drill.lock import hold_endpoint
with hold_endpoint("web-1", "test-lock:22", "their-run"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_an_endpoint_held_by_another_process_is_busy_and_the_message_says_by_which_run() -> None:
    holder = subprocess.Popen([sys.executable, "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdin
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(EndpointBusyError, match="their-run"), hold_endpoint("web-1", "test-lock:22", "my-run"):
        pass
    holder.stdin.close()
    assert holder.wait() == 0
    with hold_endpoint("web-1", "test-lock:22", "my-run"):
        pass


def test_two_endpoints_do_not_share_a_lock() -> None:
    with hold_endpoint("a", "test-lock-a", "run"), hold_endpoint("b", "test-lock-b", "run"):
        pass
