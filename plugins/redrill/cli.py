"""The command ``redrill``: a thin edge over the fleet file, the plan, the lab and pytest."""

import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import click

from redrill.backends import GROUPS, known_backends, settings_of
from redrill.cli_fidelity import fidelity
from redrill.cli_findings import adopt, findings
from redrill.cli_history import history
from redrill.cli_minimise import minimise
from redrill.cli_plan import tell_plan
from redrill.drill.guards.endpoint import survey
from redrill.drill.guards.protection import know_controller
from redrill.drill.guards.token import write_token
from redrill.drill.plan import Intention, choose_targets, plan_run
from redrill.drill.planning import Request
from redrill.drill.resume import abandon as give_up
from redrill.drill.resume import endpoints_of, find_quarantined, find_still, stored_fleet
from redrill.errors import Exit, GuardError, RedrillError
from redrill.laws.again import for_laws
from redrill.loader import load_fleet, load_waivers, select_endpoints
from redrill.machine.keys import fault_of_key
from redrill.model.fleet import Backend, Endpoint, Fleet
from redrill.model.fleet_schema import fleet_schema
from redrill.model.values import Mode
from redrill.redaction import redact
from redrill.secrets_source import reveal_at_hand
from redrill.tables import print_table

_FLEET = click.argument("fleet_file", metavar="FLEET", type=click.Path(path_type=Path))
_MODE = click.option(
    "--mode",
    type=click.Choice([mode.value for mode in Mode]),
    default=Mode.OBSERVE.value,
    help="What may be done.",
    show_default=True,
)
_NAMES = click.option("--endpoint", "names", metavar="NAME", multiple=True, help="Only this endpoint; repeatable.")
_ROLES = click.option("--role", "roles", metavar="ROLE", multiple=True, help="Only endpoints of this role; repeatable.")
_ENVIRONMENT = click.option("--environment", metavar="NAME", help="The environment that you mean; needed to wipe.")
_CHANGE = click.option("--change", metavar="ID", help="The change ticket, where the fleet file asks for one.")
_TAGS = click.option("--tag", "tags", metavar="TAG", multiple=True, help="Only endpoints with this tag; repeatable.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: one clear message on standard error for each known failure."""
    try:
        status = commands.main(args=arguments, prog_name="redrill", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except RedrillError as error:
        click.echo(redact(f"redrill: {error}"), err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("redrill: stopped by a signal; nothing was cleaned up.", err=True)
        return Exit.STOPPED
    except BrokenPipeError:
        # Nobody reads any more; without this the interpreter complains again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.INCOMPLETE
    except Exception:  # noqa: BLE001 - a bug of ours must not end with 1, which says that an endpoint is not compliant
        click.echo(redact(traceback.format_exc()), err=True)
        return Exit.INCOMPLETE
    return status if isinstance(status, int) else Exit.APPROVE


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="redrill")
def commands() -> None:
    """Prove that a fleet of Linux endpoints can be redeployed from images and backups alone."""


@commands.command(context_settings={"ignore_unknown_options": True})
@_FLEET
@_MODE
@_NAMES
@_ROLES
@_TAGS
@_ENVIRONMENT
@_CHANGE
@click.option("--confirm", metavar="PLAN", help="The id of the plan, as 'redrill plan' printed it, that is to be done.")
@click.argument("extra", metavar="[PYTEST OPTIONS AND PATHS]...", nargs=-1, type=click.UNPROCESSED)
def run(
    *,
    fleet_file: Path,
    mode: str,
    names: Sequence[str],
    roles: Sequence[str],
    tags: Sequence[str],
    environment: str | None,
    change: str | None,
    confirm: str | None,
    extra: Sequence[str],
) -> None:
    """Drill or observe the endpoints of FLEET and judge them.

    Everything else goes to pytest: its options, and paths of your own tests, which run beside redrill's.
    """
    if str(fleet_file).startswith("-"):
        raise click.UsageError(f"Name the fleet file before the options of pytest; found '{fleet_file}' in its place.")
    select_endpoints(load_fleet(fleet_file), names, roles, tags)
    said = {"environment": environment, "change": change, "confirm": confirm}
    command = pytest_command(
        fleet_file=fleet_file, mode=mode, names=names, roles=roles, tags=tags, said=said, extra=extra
    )
    _become(command)


def _become(command: list[str]) -> None:
    """Replace the process by pytest, so that its exit status and the signals that it gets are its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606 - a list of arguments, and no shell


def _pytest() -> list[str]:
    """Return how pytest is started; no pytest.ini that happens to lie around has a say in it."""
    own = (sys.executable, "-m", "pytest", "-c", os.devnull, f"--rootdir={Path.cwd()}")
    return [*own, "--pyargs", "redrill_suites"]


def pytest_command(
    *,
    fleet_file: Path,
    mode: str,
    names: Sequence[str],
    roles: Sequence[str],
    tags: Sequence[str],
    said: Mapping[str, str | None],
    extra: Sequence[str],
) -> list[str]:
    """Return the command line of the pytest run.

    A later ``-c FILE`` among ``extra`` names the configuration of one's own tests.
    """
    chosen = [("endpoint", names), ("role", roles), ("tag", tags)]
    return [
        *(*_pytest(), f"--redrill-fleet={fleet_file}", f"--redrill-mode={mode}"),
        *(f"--redrill-{option}={value}" for option, values in chosen for value in values),
        *(f"--redrill-{option}={value}" for option, value in said.items() if value is not None),
        *extra,
    ]


@commands.command()
@_FLEET
@_MODE
@_NAMES
@_ROLES
@_TAGS
@_ENVIRONMENT
@_CHANGE
@click.option("--redrill-laws", "is_for_laws", is_flag=True, help="For a run that drills twice to judge the laws.")
def plan(
    *,
    fleet_file: Path,
    mode: str,
    names: Sequence[str],
    roles: Sequence[str],
    tags: Sequence[str],
    environment: str | None,
    change: str | None,
    is_for_laws: bool,
) -> None:
    """Say what a run would do to the endpoints of FLEET, and what is against it.

    For a mode that wipes it connects to them, read-only, asks every guard, and prints the id to confirm the plan by.
    """
    fleet = _load_to_connect(fleet_file) if Mode(mode).is_destructive else load_fleet(fleet_file)
    selected = select_endpoints(fleet, names, roles, tags)
    if fleet.waivers:
        load_waivers(fleet.waivers)
    if Mode(mode).is_destructive:
        targets = choose_targets(selected, Mode(mode), is_explicit=bool(names or roles or tags))
        chosen = [("endpoint", names), ("role", roles), ("tag", tags)]
        words = [word for option, values in chosen for value in values for word in (f"--{option}", value)]
        words = ["redrill", "run", str(fleet_file), "--mode", mode, *words, *["--redrill-laws"] * is_for_laws]
        request = Request(fleet, targets, Mode(mode), environment, change)
        tell_plan(for_laws(request) if is_for_laws else request, selected, words)
        return
    intentions = plan_run(selected, Mode(mode))
    columns = ("endpoint", "role", "address", "provisioner", "image", "repository", "expendable", "what would happen")
    title = f"{fleet.name} ({fleet.environment}), mode {mode}"
    print_table(title, columns, [_plan_row(intention) for intention in intentions])


def _load_to_connect(fleet_file: Path) -> Fleet:
    """Return a fleet whose keys and secrets are there; those that a command prints are left to the run."""
    return load_fleet(fleet_file, reveal_at_hand, fault_of_key)


@commands.command(context_settings={"ignore_unknown_options": True})
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--confirm", metavar="PLAN", help="The id of a new plan for the endpoints that were not wiped yet.")
@click.option("--environment", metavar="LABEL", help="What the fleet must be, for those not wiped yet.")
@click.argument("extra", metavar="[PYTEST OPTIONS]...", nargs=-1, type=click.UNPROCESSED)
def resume(run_dir: Path, confirm: str | None, environment: str | None, extra: Sequence[str]) -> None:
    """Finish the interrupted run whose folder is RUN, then judge it as a whole."""
    endpoints_of(run_dir)
    said = [("confirm", confirm), ("environment", environment)]
    options = [f"--redrill-{option}={value}" for option, value in said if value is not None]
    _become([*_pytest(), f"--redrill-resume={run_dir}", *options, *extra])


@commands.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("endpoint", metavar="ENDPOINT")
@click.option("--reason", required=True, help="Why, and who takes the endpoint over; stays in the journal of the run.")
def abandon(run_dir: Path, endpoint: str, reason: str) -> None:
    """Give up ENDPOINT, which RUN has wiped and not brought back: redrill lets go of it, its backup stays."""
    give_up(stored_fleet(run_dir), run_dir, endpoint, reason)
    click.echo(f"'{endpoint}' is given up; its backup and the evidence stay in '{run_dir}'.")


@commands.command(name="status")
@click.option("--reports", type=click.Path(path_type=Path), default=Path("reports"), help="Where runs are kept.")
def quarantine(reports: Path) -> int:
    """List the endpoints that runs have wiped and not brought back (exit 14), or not started again (exit 7)."""
    found, still = find_quarantined(reports / "runs"), find_still(reports / "runs")
    if not (found or still):
        click.echo(f"No endpoint is quarantined by a run below '{reports}'.")
        return Exit.APPROVE
    if found:
        rows = [(one.endpoint, f"{one.wiped_at:%Y-%m-%d %H:%M:%S} UTC", str(one.run_dir), one.why) for one in found]
        print_table("quarantined", ("endpoint", "down since", "run", "why"), rows)
    if still:
        title = "stopped or frozen for a backup, and not started again"
        print_table(title, ("endpoint", "run"), [(endpoint, str(run_dir)) for run_dir, endpoint in still])
    click.echo("Finish them with 'redrill resume RUN', or give them up with 'redrill abandon RUN ENDPOINT --reason …'.")
    return Exit.QUARANTINED if found else Exit.CLEANUP


@commands.command()
@_FLEET
@click.argument("endpoint", metavar="ENDPOINT")
@click.option(
    "--until", metavar="DATE", required=True, help="The last day, such as 2026-12-31, on which it may be wiped."
)
def allow(fleet_file: Path, endpoint: str, until: str) -> None:
    """Print the file by which ENDPOINT of FLEET agrees to be wiped, and where to put it; touches nothing."""
    fleet = _load_to_connect(fleet_file)
    (chosen,) = select_endpoints(fleet, [endpoint])
    try:
        last = date.fromisoformat(until)
    except ValueError:
        raise click.UsageError(f"'{until}' is no date; write it as '2026-12-31'.") from None
    found = survey(fleet, chosen, know_controller())
    if not found.identity.best:
        raise GuardError(f"Nobody knows who '{endpoint}' is: {found.trouble or 'it has no identity'}.")
    path = fleet.guards.allow_token.path
    click.echo(f"# Put this into '{path}' on '{endpoint}': owned by root, mode 0644, and so its folder, mode 0755.")
    click.echo(write_token(fleet.name, found.identity.best, last), nl=False)


def _plan_row(intention: Intention) -> list[str]:
    endpoint = intention.endpoint
    does = f"REFUSED: {intention.refusal}" if intention.refusal else intention.action
    return [
        endpoint.name,
        endpoint.role or "-",
        _address(endpoint),
        _kind(endpoint.provisioner),
        f"{endpoint.image.name} {endpoint.image.version}" if endpoint.image else "-",
        _kind(endpoint.repository),
        "yes" if endpoint.expendable else "no",
        does,
    ]


def _address(endpoint: Endpoint) -> str:
    if endpoint.address is None:
        return "-"
    return endpoint.address if endpoint.ssh.port == 22 else f"{endpoint.address} port {endpoint.ssh.port}"


def _kind(backend: Backend | None) -> str:
    return backend.kind if backend else "-"


@commands.command()
def schema() -> None:
    """Print the JSON Schema of fleet files, with the settings of every backend that is installed."""
    settings = {group: {kind: settings_of(group, kind) for kind in known_backends(group)} for group in GROUPS}
    click.echo(json.dumps(fleet_schema(settings), indent=2))


@commands.group()
def lab() -> None:
    """Start, stop or list the containers that a fleet file declares as a lab on this machine."""


@lab.command()
@_FLEET
def up(fleet_file: Path) -> None:
    """Start every container of FLEET that does not run; builds the images that are missing."""
    from redrill.lab import lab as lab_of_containers  # noqa: PLC0415 - a fleet without a lab must not need its tools

    lab_of_containers.up(load_fleet(fleet_file), click.echo)


@lab.command()
@_FLEET
def down(fleet_file: Path) -> None:
    """Remove everything that the lab of FLEET ever made on this machine; safe to repeat."""
    from redrill.lab import lab as lab_of_containers  # noqa: PLC0415 - as for 'up'

    lab_of_containers.down(load_fleet(fleet_file), click.echo)


@lab.command()
@_FLEET
def status(fleet_file: Path) -> None:
    """List the containers of FLEET: their addresses and whether they run."""
    from redrill.lab import lab as lab_of_containers  # noqa: PLC0415 - as for 'up'

    fleet = load_fleet(fleet_file)
    rows = [(row.endpoint, row.address, row.state, str(row.since or "-")) for row in lab_of_containers.status(fleet)]
    print_table(f"lab of {fleet.name}", ("endpoint", "address", "state", "since"), rows)


@commands.command()
def doctor() -> int:
    """Say what is missing or too small on this machine, and the command that mends it; exit 1 when anything is."""
    from redrill.lab.doctor import diagnose  # noqa: PLC0415 - as for 'lab up'

    findings = diagnose()
    rows = [(each.name, "ok" if each.ok else "NOT OK", each.found, each.remedy) for each in findings]
    print_table("this machine", ("what", "state", "found", "remedy"), rows)
    return 0 if all(each.ok for each in findings) else 1


commands.add_command(findings)
commands.add_command(adopt)
commands.add_command(fidelity)
commands.add_command(history)
commands.add_command(minimise)


if __name__ == "__main__":
    sys.exit(main())
