"""How a plan of a run that wipes is told and kept, for every command that makes one."""

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from redrill.drill.authorize import remember_plan
from redrill.drill.guards.state import require_all
from redrill.drill.plan import plan_run
from redrill.drill.plan_tables import (
    GUARD_COLUMNS,
    TARGET_COLUMNS,
    backup_notes,
    guard_rows,
    landing_notes,
    target_rows,
)
from redrill.drill.planning import Request, make_plan
from redrill.model.fleet import Endpoint
from redrill.tables import print_table


def tell_plan(request: Request, selected: Sequence[Endpoint], words: Sequence[str]) -> None:
    """Make a plan, keep and print it; ``words`` are the command that carries it out. GuardError when it is refused."""
    made, _ = make_plan(request, datetime.now(UTC))
    remember_plan(made)
    does = f", to {request.purpose}" if request.purpose else ""
    title = f"{made.fleet} ({request.fleet.environment}), mode {made.mode}{does}: what would be taken down"
    print_table(title, TARGET_COLUMNS, target_rows(made))
    print_table("guards", GUARD_COLUMNS, guard_rows(made))
    for note in [*landing_notes(made), *backup_notes(made)]:
        click.echo(note)
    for intention in plan_run(selected, request.mode):
        if intention.refusal:
            click.echo(f"Left alone: '{intention.endpoint.name}': {intention.refusal}.")
    for name in made.silent:
        click.echo(f"No answer from '{name}': it would not be wiped, and the run would be INCOMPLETE.")
    require_all(made.against, "Nothing was touched. The drill would be refused:")
    said = [("--environment", request.environment), ("--change", request.change)]
    words = [*words, *(word for pair in said if pair[1] for word in pair if word)]
    click.echo(f"Plan {made.id}, valid until {made.made + made.valid_for:%Y-%m-%d %H:%M:%S} UTC.")
    if not made.needs_confirmation:
        click.echo("The fleet is disposable and was made by its provisioner, so the plan need not be confirmed.")
    click.echo(f"To do it: {shlex.join(words)} --confirm {made.id}")
