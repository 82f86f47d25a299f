"""Work that may not come back: done in a child process."""

import os
import sys
from collections.abc import Callable


def in_child(work: Callable[[], object]) -> int:
    """Run ``work`` in a child process and return its exit status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the child must end here, whatever happened
            print(f"child: {error!r}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
