from collections.abc import Iterator

import pytest

from redrill.lab.lab import down, up
from redrill.loader import load_fleet
from redrill.model.fleet import Fleet
from selftests.support.labs import lab_fleet


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Four endpoints in their Day-1 state; a test that changes one of them for good brings up a lab of its own."""
    fleet = load_fleet(lab_fleet(tmp_path_factory.mktemp("lab"), "selftest-lab", "198.18.9"))
    down(fleet, print)
    try:
        up(fleet, print)
        yield fleet
    finally:
        down(fleet, print)
