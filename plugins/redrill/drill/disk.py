"""A disk of the controller that takes nothing any more: what cannot be journalled must not be destroyed."""

import errno
from pathlib import Path

from redrill.errors import BackupError, RedrillError
from redrill.model.values import Mode

_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG})


def is_of_the_disk(error: Exception) -> bool:
    """Whether an error says that a file could not be written, and not that something else went wrong."""
    return isinstance(error, OSError) and error.errno in _OF_THE_DISK


def refuse_without_disk(error: Exception, run_dir: Path, mode: Mode) -> RedrillError:
    """Return the error that ends a run, or a drill before its wipe, which cannot write down what it does."""
    words = (
        f"Nothing was wiped, for what a run has to write below '{run_dir}' cannot be written: {error}. "
        "Mend the disk or make room on it, then start again."
    )
    return BackupError(words) if mode.is_destructive else RedrillError(words)
