"""The commands about what a stored run has found: ``redrill findings`` and ``redrill adopt``."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import click

from redrill.analysis.adoption import Terms, draft_waivers, write_drafts
from redrill.analysis.examine import Examined, examine
from redrill.analysis.promises import PROMISES
from redrill.drill.resume import stored_fleet
from redrill.errors import FleetError
from redrill.loader import load_waivers, select_endpoints
from redrill.model.finding import Severity
from redrill.model.fleet import Fleet
from redrill.model.values import parse_duration
from redrill.model.waivers import Waivers
from redrill.model.weighed import State, Weighed
from redrill.redaction import redact, redact_value
from redrill.tables import print_table

_COLUMNS = ("state", "severity", "promise", "endpoint", "kind", "subject", "detail", "why", "id")
_RUN = click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
_NAMES = click.option("--endpoint", "names", metavar="NAME", multiple=True, help="Only this endpoint; repeatable.")
_PROMISES = click.option(
    "--promise", "promises", type=click.Choice(list(PROMISES)), multiple=True, help="Only this promise; repeatable."
)


@click.command()
@_RUN
@_NAMES
@_PROMISES
@click.option(
    "--severity", type=click.Choice([each.value for each in Severity]), help="Only findings that are at least so grave."
)
@click.option("--json", "is_json", is_flag=True, help="As JSON, with all that is known of each.")
def findings(run_dir: Path, names: Sequence[str], promises: Sequence[str], severity: str | None, is_json: bool) -> None:
    """List what the stored run in the folder RUN has found, with the ids that waivers name; touches nothing."""
    _, examined = _examine(run_dir, names, promises)
    grave = list(Severity)[: list(Severity).index(Severity(severity)) + 1] if severity else list(Severity)
    weighed = [one for one in examined.weighed if one.finding.severity in grave]
    if is_json:
        rows = [{"id": one.finding.id, **one.model_dump(mode="json")} for one in weighed]
        click.echo(json.dumps(redact_value(rows), indent=1))
        return
    if weighed:
        print_table(f"findings of {run_dir.resolve().name}", _COLUMNS, map(_row, weighed))
    click.echo(f"{len(weighed)} findings, of them {sum(one.state is State.OPEN for one in weighed)} open.")
    _tell_unknown(examined)


def _row(one: Weighed) -> list[str]:
    found = one.finding
    state = f"{one.state} ({one.told})" if one.told else one.state.value
    words = (state, found.severity.value, found.promise, found.endpoint, found.kind, found.subject, found.detail)
    return [redact(word) for word in (*words, found.why, found.id)]


def _examine(run_dir: Path, names: Sequence[str], promises: Sequence[str]) -> tuple[Fleet, Examined]:
    fleet = stored_fleet(run_dir)
    chosen = [endpoint.name for endpoint in select_endpoints(fleet, names)]
    return fleet, examine(run_dir, fleet, chosen, promises)


def _tell_unknown(examined: Examined) -> None:
    for (promise, why), endpoints in examined.unknown.items():
        click.echo(redact(f"Not known: '{promise}' of {', '.join(endpoints)}: {why}"), err=True)


def _parse_expiry(_context: click.Context, _option: click.Parameter, value: str) -> date:
    """Return the day, in UTC, that an option means: a date, or a time from now on."""
    now = datetime.now(UTC)
    try:
        day = date.fromisoformat(value) if "-" in value else (now + parse_duration(value)).date()
    except ValueError:
        advice = "write a date such as '2027-01-31', or a time such as '90d'"
        raise click.BadParameter(f"'{value}' is no day; {advice}.") from None
    if day < now.date():
        raise click.BadParameter(f"{day} is over already; name a day to come.")
    return day


@click.command()
@_RUN
@_NAMES
@_PROMISES
@click.option("--owner", required=True, help="Who answers for these waivers.")
@click.option("--ticket", required=True, help="Where the mending is tracked.")
@click.option("--reason", help="Why they are accepted. Without it the waivers say that nobody has looked yet.")
@click.option(
    "--expires",
    default="90d",
    show_default=True,
    callback=_parse_expiry,
    help="Their last day: a date, or a time from now.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file; that of the fleet, or waivers.yml beside it, without.",
)
@click.option("--update", is_flag=True, help="Add what is new to a file that exists; nothing in it is changed.")
def adopt(
    *,
    run_dir: Path,
    names: Sequence[str],
    promises: Sequence[str],
    owner: str,
    ticket: str,
    reason: str | None,
    expires: date,
    output: Path | None,
    update: bool,
) -> None:
    """Write the open findings of the stored run RUN as waivers to start from; read them before you use them."""
    fleet, examined = _examine(run_dir, names, promises)
    file = output or fleet.waivers or fleet.source.parent / "waivers.yml"
    if file.exists() and not update:
        raise FleetError(f"'{file}' exists already; say '--update' to add to it, or '-o FILE' to name another one.")
    known = load_waivers(file) if file.exists() else Waivers()
    text = file.read_text("utf-8") if file.exists() else None
    terms = Terms(owner, ticket, reason or f"as found by run {run_dir.resolve().name}, nobody has looked yet", expires)
    drafts = draft_waivers((one.finding for one in examined.weighed if one.state is State.OPEN), known, terms)
    _tell_unknown(examined)
    if not drafts:
        click.echo("There is nothing to adopt: no finding is open that no waiver is about.")
        return
    _replace(file, write_drafts(text, drafts, file))
    click.echo(f"Written to '{file}': {len(drafts)}, until {expires}. Read each of them, and mend what can be mended.")
    if fleet.waivers != file.absolute():
        path = os.path.relpath(file, fleet.source.parent)
        click.echo(f"They count once '{fleet.source}' says 'waivers: {path}'.")


def _replace(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.new")
    try:
        temporary.write_text(text, "utf-8")
        if file.exists():
            temporary.chmod(file.stat().st_mode & 0o777)
        temporary.replace(file)
    except OSError as error:
        raise FleetError(f"'{file}' cannot be written: {error.strerror}; check the path.") from error
