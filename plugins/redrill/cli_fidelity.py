"""The command ``redrill fidelity``: what backups lose, by kind of repository."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from redrill.drill.fidelity import KEPT, Fidelity, try_fidelity
from redrill.errors import BackupError
from redrill.redaction import redact
from redrill.repositories.scratch import scratch_kinds
from redrill.tables import print_table


@click.command()
@click.option("--repository", "kinds", metavar="KIND", multiple=True, help="Only this kind; repeatable.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default="/var/tmp",  # noqa: S108 - a private folder is made in it
    show_default=True,
    help="Where to try; its file system has a say in what can be kept.",
)
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
def fidelity(kinds: Sequence[str], folder: Path, is_json: bool) -> None:
    """Say what each kind of repository keeps and what it loses, by backing up and restoring hard cases on this machine.

    It needs no fleet and no endpoint, takes seconds, and removes everything that it makes. Run it as root to see all.
    """
    chosen = tuple(dict.fromkeys(kinds)) or scratch_kinds()
    found = try_fidelity(chosen, folder)
    if is_json:
        told = {"outcomes": found.outcomes, "not_made": found.not_made, "not_tried": found.not_tried}
        click.echo(json.dumps(told, indent=1))
    else:
        _print(found, [kind for kind in chosen if kind not in found.not_tried])
    if len(found.not_tried) == len(chosen):
        raise BackupError(next(iter(found.not_tried.values()), "There is no kind of repository to try."))


def _print(found: Fidelity, kinds: Sequence[str]) -> None:
    if kinds:
        rows = [[name, *(outcomes[kind] for kind in kinds)] for name, outcomes in found.outcomes.items()]
        counts = [sum(row[column] == KEPT for row in rows) for column in range(1, len(kinds) + 1)]
        rows.append([f"kept, of {len(rows)}", *map(str, counts)])
        print_table("what comes back through a repository", ("case", *kinds), rows)
    if found.not_made:
        reasons = "; ".join(f"{name} ({why})" for name, why in found.not_made.items())
        click.echo(f"Not tried, for it cannot be made by this user or on this file system: {reasons}.")
    for kind, why in found.not_tried.items():
        click.echo(redact(f"Not tried: '{kind}': {why}"), err=True)
