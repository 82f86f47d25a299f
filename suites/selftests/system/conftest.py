from collections.abc import Iterator

import pytest

from redrill.model.fleet import Fleet
from selftests.support.labs import running_lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Four endpoints in their Day-1 state; a test that changes one of them for good brings up a lab of its own."""
    with running_lab(tmp_path_factory.mktemp("lab"), "selftest-lab", "198.18.9") as fleet:
        yield fleet
