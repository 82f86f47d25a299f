import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from redrill.redaction import redactor
from redrill.redaction.known import KnownSecrets
from selftests.support.wheels import build_wheel, install_elsewhere

# How long an example takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


# The runs that a test starts are no workers, whatever process the test itself is in.
os.environ.pop("PYTEST_XDIST_WORKER", None)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def python_elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a virtual environment that holds the wheel and what it depends on, and nothing else."""
    return install_elsewhere(wheel, tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module", autouse=True)
def secrets_of_their_own() -> Iterator[None]:
    """Let the made-up secrets of one module take nothing out of the texts of the next."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redactor, "_KNOWN", KnownSecrets())
        yield
