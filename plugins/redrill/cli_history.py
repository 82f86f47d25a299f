"""The command about all drills so far: ``redrill history``."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from redrill.ledger.opening import open_ledger
from redrill.ledger.percentiles import NEVER, Trend, trends_of
from redrill.loader import load_fleet, select_endpoints
from redrill.model.values import spell_seconds
from redrill.redaction import redact_value
from redrill.tables import print_table

_COLUMNS = (
    *("endpoint", "application", "mode", "drills", "RTO p50", "p90", "worst", "last", "trend"),
    *("RPO last", "worst", "last drilled"),
)


@click.command()
@click.argument("fleet_file", metavar="FLEET", type=click.Path(path_type=Path))
@click.argument("endpoint", metavar="[ENDPOINT]", required=False)
@click.option("--reports", type=click.Path(path_type=Path), default=Path("reports"), help="Where runs are kept.")
@click.option("--json", "is_json", is_flag=True, help="As JSON, every drill with all that was measured.")
def history(fleet_file: Path, endpoint: str | None, reports: Path, is_json: bool) -> None:
    """Show how long the applications of FLEET, or of one ENDPOINT, took to recover in all drills so far.

    The trend is the last time against the median of all before it.
    """
    fleet = load_fleet(fleet_file)  # who reads the history need not have the secrets of the endpoints
    if endpoint is not None:
        select_endpoints(fleet, [endpoint])
    measured = open_ledger(fleet, reports.resolve()).history(fleet.name, endpoint)
    if is_json:
        click.echo(json.dumps(redact_value([each.model_dump(mode="json") for each in measured]), indent=1))
    elif measured:
        print_table(f"drills of {fleet.name}", _COLUMNS, map(_row, trends_of(measured)))
    else:
        where = "the ledger" if fleet.ledger else f"the ledger of '{reports}'"
        click.echo(f"No drill of '{endpoint or fleet.name}' is in {where} yet.")


def _row(trend: Trend) -> Sequence[str]:
    times = (trend.p50, trend.p90, trend.worst, trend.last)
    change = "-" if trend.change is None else f"{trend.change:+.0%}"
    losses = (trend.rpo_last, trend.rpo_worst)
    return [
        *(trend.endpoint, trend.application, trend.mode.value, str(trend.drills)),
        *map(_tell, times),
        change,
        *(_tell(loss, endless="unknown") for loss in losses),
        f"{trend.last_drilled:%Y-%m-%d %H:%M} UTC",
    ]


def _tell(seconds: float | None, endless: str = "never") -> str:
    if seconds is None:
        return "-"
    return endless if seconds == NEVER else spell_seconds(seconds)
