"""What every pytest session with redrill installed pays for: the options, and the question whether there is a fleet.

Everything else is imported only when there is one.
"""

import pytest

from redrill.errors import FleetError, RedrillError
from redrill.plugin.names import ENDPOINT, MARKERS
from redrill.plugin.options import add_options

_NO_FLEET = (
    "redrill needs a fleet: say '--redrill-fleet fleet.yml', or '--redrill-record DIR' to judge a stored run again."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)  # before allure-pytest, which reads where its results go
def pytest_configure(config: pytest.Config) -> None:
    """Open the run that the options ask for; refuse a wrong fleet (exit 4) or a target (exit 10), or a full disk."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    if not _has_fleet(config):
        if any(argument.startswith("redrill_suites") for argument in config.args):
            raise pytest.UsageError(_NO_FLEET)
        return
    if config.option.setuponly and not config.option.setupplan:
        raise pytest.UsageError("'--setup-only' would drill and judge nothing; say '--setup-plan' to drill nothing.")
    # They import half of redrill, which other sessions do not need.
    from redrill.plugin import redacting, session  # noqa: PLC0415

    try:
        session.open_session(config)
        redacting.open_redaction(config)
    except FleetError as error:
        raise pytest.UsageError(*redacting.redact_all(error.mistakes)) from None
    except RedrillError as error:
        pytest.exit(str(error), returncode=error.exit_code)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse tests of endpoints without a fleet: that is a usage error, never a skip."""
    if _has_fleet(config) or not any(ENDPOINT in getattr(item, "fixturenames", ()) for item in items):
        return
    if not hasattr(config, "workeroutput"):
        raise pytest.UsageError(_NO_FLEET)
    # What is raised in a worker of pytest-xdist ends as a traceback of the main process, so let that one say it.
    config.workeroutput["redrill_needs_fleet"] = True
    items.clear()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Refuse in the main process what a worker of pytest-xdist could only note."""
    if getattr(node, "workeroutput", {}).get("redrill_needs_fleet"):
        raise pytest.UsageError(_NO_FLEET)


def _has_fleet(config: pytest.Config) -> bool:
    return (
        config.getoption("redrill_fleet") is not None
        or config.getoption("redrill_record") is not None
        or config.getoption("redrill_resume") is not None
    )
