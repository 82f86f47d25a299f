"""The options of redrill, all prefixed: ``pytest --help`` shows them as a block of their own."""

from pathlib import Path

import pytest

MODES = ("observe", "replace", "relocate", "vanilla")
"""The values of ``model.values.Mode``, spelt out: importing it would cost every pytest session a third of a second."""

_NAMES = "only this endpoint; may be given more than once"


def add_options(parser: pytest.Parser) -> None:
    """Declare every ``--redrill-*`` option."""
    group = parser.getgroup("redrill", "stateless-compliance drills")
    group.addoption(
        "--redrill-fleet", type=Path, metavar="FILE", help="the fleet file; its endpoints parametrise the tests"
    )
    group.addoption(
        "--redrill-mode",
        default="observe",
        choices=MODES,
        help="observe (default) changes nothing; replace wipes, redeploys and restores expendable endpoints; vanilla "
        "redeploys them once more before, without a restore; relocate restores them onto new hosts",
    )
    group.addoption("--redrill-endpoint", action="append", default=[], metavar="NAME", help=_NAMES)
    group.addoption("--redrill-role", action="append", default=[], metavar="ROLE", help="only endpoints of this role")
    group.addoption("--redrill-tag", action="append", default=[], metavar="TAG", help="only endpoints with this tag")
    group.addoption(
        "--redrill-record", type=Path, metavar="DIR", help="judge the records of this run again; touch no host"
    )
    group.addoption(
        "--redrill-environment",
        metavar="NAME",
        help="the environment that you mean; must be that of the fleet file for anything that wipes",
    )
    group.addoption(
        "--redrill-confirm", metavar="PLAN", help="the id of the plan, as 'redrill plan' printed it, that is to be done"
    )
    group.addoption("--redrill-change", metavar="ID", help="the change ticket, where the fleet file asks for one")
    group.addoption("--redrill-resume", type=Path, metavar="DIR", help="finish the interrupted run in this folder")
    group.addoption("--redrill-reports", type=Path, default=Path("reports"), metavar="DIR", help="where runs are kept")
    group.addoption(
        "--redrill-laws",
        action="store_true",
        help="drill every endpoint a second time, in the reverse order, to judge laws that hold of any drill",
    )
