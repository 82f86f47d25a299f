"""The command ``redrill``: a thin edge over the fleet file, the plan, the lab and pytest."""

import json
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from redrill.backends import GROUPS, known_backends, settings_of
from redrill.drill.plan import Intention, plan_run
from redrill.errors import Exit, GuardError, RedrillError
from redrill.loader import load_fleet, select_endpoints
from redrill.model.fleet import Backend, Endpoint
from redrill.model.fleet_schema import fleet_schema
from redrill.model.values import Mode

_PIPE_WIDTH = 200
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
_TAGS = click.option("--tag", "tags", metavar="TAG", multiple=True, help="Only endpoints with this tag; repeatable.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: one clear message on standard error for each known failure."""
    try:
        status = commands.main(args=arguments, prog_name="redrill", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except RedrillError as error:
        click.echo(f"redrill: {error}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("redrill: stopped by a signal; nothing was cleaned up.", err=True)
        return Exit.STOPPED
    except BrokenPipeError:
        # Nobody reads any more; without this the interpreter complains again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.INCOMPLETE
    except Exception:  # noqa: BLE001 - a bug of ours must not end with 1, which says that an endpoint is not compliant
        traceback.print_exc()
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
@click.argument("extra", metavar="[PYTEST OPTIONS AND PATHS]...", nargs=-1, type=click.UNPROCESSED)
def run(
    *,
    fleet_file: Path,
    mode: str,
    names: Sequence[str],
    roles: Sequence[str],
    tags: Sequence[str],
    extra: Sequence[str],
) -> None:
    """Drill or observe the endpoints of FLEET and judge them.

    Everything else goes to pytest: its options, and paths of your own tests, which run beside redrill's.
    """
    if str(fleet_file).startswith("-"):
        raise click.UsageError(f"Name the fleet file before the options of pytest; found '{fleet_file}' in its place.")
    select_endpoints(load_fleet(fleet_file), names, roles, tags)
    command = pytest_command(fleet_file=fleet_file, mode=mode, names=names, roles=roles, tags=tags, extra=extra)
    sys.stdout.flush()
    sys.stderr.flush()
    # The process becomes pytest, so that its exit status and the signals that it gets are its own.
    os.execv(command[0], command)  # noqa: S606 - a list of arguments, and no shell


def pytest_command(
    *,
    fleet_file: Path,
    mode: str,
    names: Sequence[str],
    roles: Sequence[str],
    tags: Sequence[str],
    extra: Sequence[str],
) -> list[str]:
    """Return the command line of the pytest run; no pytest.ini that happens to lie around has a say in it.

    A later ``-c FILE`` among ``extra`` names the configuration of one's own tests.
    """
    chosen = [("endpoint", names), ("role", roles), ("tag", tags)]
    return [
        *(sys.executable, "-m", "pytest", "-c", os.devnull, f"--rootdir={Path.cwd()}"),
        *("--pyargs", "redrill_suites", f"--redrill-fleet={fleet_file}", f"--redrill-mode={mode}"),
        *(f"--redrill-{option}={value}" for option, values in chosen for value in values),
        *extra,
    ]


@commands.command()
@_FLEET
@_MODE
@_NAMES
@_ROLES
@_TAGS
def plan(fleet_file: Path, mode: str, names: Sequence[str], roles: Sequence[str], tags: Sequence[str]) -> None:
    """Say what a run would do to the endpoints of FLEET, and which ones it refuses; touches nothing."""
    fleet = load_fleet(fleet_file)
    intentions = plan_run(select_endpoints(fleet, names, roles, tags), Mode(mode))
    columns = ("endpoint", "role", "address", "provisioner", "image", "repository", "expendable", "what would happen")
    title = f"{fleet.name} ({fleet.environment}), mode {mode}"
    _print_table(title, columns, [_plan_row(intention) for intention in intentions])
    if all(intention.refusal for intention in intentions):
        raise GuardError(f"Mode '{mode}' would refuse every endpoint that was chosen; a run would touch nothing.")


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
    _print_table(f"lab of {fleet.name}", ("endpoint", "address", "state", "since"), rows)


@commands.command()
def doctor() -> int:
    """Say what is missing or too small on this machine, and the command that mends it; exit 1 when anything is."""
    from redrill.lab.doctor import diagnose  # noqa: PLC0415 - as for 'lab up'

    findings = diagnose()
    rows = [(each.name, "ok" if each.ok else "NOT OK", each.found, each.remedy) for each in findings]
    _print_table("this machine", ("what", "state", "found", "remedy"), rows)
    return 0 if all(each.ok for each in findings) else 1


def _print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        # As Text, so that a bracket in a value is not read as markup.
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)


if __name__ == "__main__":
    sys.exit(main())
