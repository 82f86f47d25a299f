"""The command ``redrill minimise``: what does an endpoint need of its backup to recover?"""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from click.core import ParameterSource

from redrill.analysis.drift import Drift
from redrill.cli_plan import tell_plan
from redrill.drill.authorize import Authorized, authorize
from redrill.drill.engine import run_drill
from redrill.drill.plan import choose_targets
from redrill.drill.planning import Request
from redrill.drill.progress import LineProgress
from redrill.errors import Exit, FleetError
from redrill.loader import load_fleet, select_endpoints
from redrill.machine.keys import fault_of_key
from redrill.minimise.logbook import Limits
from redrill.minimise.report import COLUMNS, FILE, Report
from redrill.minimise.stage import Minimiser
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.record import DrillRecord
from redrill.model.values import Mode, parse_duration, spell_duration
from redrill.redaction import redact
from redrill.reporting.run_folder import new_run_folder
from redrill.secrets_source import reveal
from redrill.tables import print_table

PURPOSE = "wipe again and again for the minimal restore set"
_OF_THE_SEARCH = ("most_trials", "deadline", "depth", "most_leaked", "reports")
_MB = 1_000_000


def _parse_time(_context: click.Context, _option: click.Parameter, value: str) -> timedelta:
    try:
        found: timedelta = parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return found


@click.command()
@click.argument("fleet_file", metavar="FLEET", type=click.Path(path_type=Path))
@click.argument("endpoint", metavar="ENDPOINT")
@click.option("--environment", metavar="NAME", help="The environment that you mean; needed to wipe.")
@click.option("--change", metavar="ID", help="The change ticket, where the fleet file asks for one.")
@click.option("--confirm", metavar="PLAN", help="The id of the plan, as '--plan' printed it, that is to be done.")
@click.option("--plan", "is_plan", is_flag=True, help="Only say what would be wiped, and what is against it.")
@click.option("--most-trials", type=click.IntRange(2), default=200, show_default=True, help="How often to rebuild it.")
@click.option("--deadline", default="2h", show_default=True, callback=_parse_time, help="How long to search.")
@click.option(
    "--depth", type=click.IntRange(1), default=4, show_default=True, help="How many names of a path to look into."
)
@click.option(
    "--most-leaked", type=click.IntRange(0), default=100, show_default=True, help="MB of leaked paths to save and try."
)
@click.option("--reports", type=click.Path(path_type=Path), default=Path("reports"), help="Where runs are kept.")
def minimise(
    *,
    fleet_file: Path,
    endpoint: str,
    environment: str | None,
    change: str | None,
    confirm: str | None,
    is_plan: bool,
    most_trials: int,
    deadline: timedelta,
    depth: int,
    most_leaked: int,
    reports: Path,
) -> int:
    """Find out which paths of its backup ENDPOINT of FLEET needs to recover, and which that no backup has.

    The endpoint is wiped for every trial, gets a part of its state back, and its applications are asked. In the end it
    gets everything back, as after a drill; when that is interrupted, 'redrill resume' does it.
    """
    fleet = load_fleet(fleet_file, reveal, fault_of_key)
    (chosen,) = choose_targets(select_endpoints(fleet, [endpoint]), Mode.REPLACE, is_explicit=True)
    if not chosen.applications:
        raise FleetError(f"{fleet.source}: endpoint '{endpoint}' declares no applications, so nobody can be asked.")
    request = Request(fleet, (chosen,), Mode.REPLACE, environment, change, PURPOSE, most_trials, deadline)
    if is_plan:
        tell_plan(request, [chosen], ["redrill", "minimise", str(fleet_file), endpoint, *_words_of_search()])
        return Exit.APPROVE
    run_dir = new_run_folder(reports.resolve() / "runs", datetime.now(UTC))
    authorized = authorize(request, confirm, run_dir)
    limits = Limits(most_trials, deadline.total_seconds(), depth, most_leaked * _MB)
    return _search(fleet, chosen, run_dir, authorized, limits)


def _words_of_search() -> list[str]:
    """Return the options by which this command was told how to search, for the one that carries the plan out."""
    context = click.get_current_context()
    values = {name: context.params[name] for name in _OF_THE_SEARCH if _is_said(context, name)}
    texts = {name: spell_duration(each) if isinstance(each, timedelta) else str(each) for name, each in values.items()}
    return [word for name, text in texts.items() for word in (f"--{name.replace('_', '-')}", text)]


def _is_said(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _search(fleet: Fleet, endpoint: Endpoint, run_dir: Path, authorized: Authorized, limits: Limits) -> int:
    minimiser = Minimiser(limits, lambda line: click.echo(redact(line)))
    stages = {Mode.REPLACE: minimiser.stages()}
    click.echo(f"redrill: '{endpoint.name}' of fleet '{fleet.name}'; evidence goes to {run_dir}")
    with LineProgress(sys.stdout) as progress:
        (record,) = run_drill(fleet, (endpoint,), Mode.REPLACE, run_dir, progress, authorized=authorized, stages=stages)
    if minimiser.report:
        _tell(minimiser.report, run_dir)
    return _conclude(Drift(run_dir, fleet, record, endpoint), minimiser.report)


def _tell(report: Report, run_dir: Path) -> None:
    rows = [[redact(cell) for cell in row] for row in report.rows()]
    if rows:
        print_table(f"what '{report.endpoint}' needs to recover", COLUMNS, rows)
    for note in report.notes:
        click.echo(redact(f"Note: {note}"))
    where = os.path.relpath(run_dir / FILE)
    click.echo(f"Proposed backup manifest: {where}. It is what recovery needs, not what you may want to keep.")
    click.echo(redact(report.conclude()))


def _conclude(drift: Drift, report: Report | None) -> int:
    """Say how the endpoint was left, and return the exit status: the failure's, else what the search came to."""
    record, name = drift.record, drift.endpoint.name
    if record.failure is not None:
        click.echo(redact(f"The drill of '{name}' broke: {record.failure.message}"), err=True)
        if record.failure.exit_code is Exit.QUARANTINED:
            click.echo(f"'{name}' is quarantined: 'redrill resume {drift.run_dir}' restores it whole.", err=True)
        return record.failure.exit_code
    unlike, ill = drift.restored(), _unhealthy(record)
    for difference in unlike[:10]:
        click.echo(redact(f"Not restored as it was: {difference}"), err=True)
    if unlike or ill:
        click.echo(f"'{name}' has its whole backup again; not healthy: {', '.join(ill) or 'none'}.", err=True)
        return Exit.REJECT
    click.echo(f"'{name}' has its whole backup again, verified, and is healthy.")
    return Exit.APPROVE if report and report.is_known else Exit.INCOMPLETE


def _unhealthy(record: DrillRecord) -> list[str]:
    return [name for name, result in record.applications.items() if not result.healthy]
