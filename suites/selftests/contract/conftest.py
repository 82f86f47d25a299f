from pathlib import Path

import pytest

from selftests.support.hard_tree import build_hard_tree
from selftests.support.tar_backups import make_small_tree


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The state of an endpoint, in a few files."""
    return make_small_tree(tmp_path / "small")


@pytest.fixture
def hard(tmp_path: Path) -> Path:
    """The state of an endpoint, with all that is hard to keep."""
    build_hard_tree(tmp_path / "hard")
    return tmp_path / "hard"
