"""The lab comes back from trees that rsync keeps, and from what its owner's commands save."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from redrill.loader import load_fleet
from redrill.model.fleet import Fleet
from selftests.support.drills import run_redrill
from selftests.support.labs import lab_fleet, standing

LAB, SUBNET = "selftest-trees", "198.18.45"
TAR = f"repository: {{kind: tar, directory: /var/lib/redrill/labs/{LAB}/backups}}"
OWNERS = """#!/bin/sh
# What an owner may have: archives by date, made over SSH, listed as JSON.
set -eu
cd "$(dirname "$0")"
case $1 in
save)
    name=$REDRILL_ENDPOINT-$(date +%s%N)
    options="-F none -i KEY -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=known"
    keep="--format=posix --xattrs --xattrs-include='*' --numeric-owner --one-file-system"
    ssh $options "root@$REDRILL_ADDRESS" "tar -C / $keep -cf - ./home ./etc ./var" >"$name.tar"
    echo "$name"
    ;;
list)
    for file in "$REDRILL_ENDPOINT"-*.tar; do
        [ ! -e "$file" ] || echo "{\\"id\\": \\"${file%.tar}\\", \\"created\\": \\"$(date -Ins -r "$file" | tr , .)\\"}"
    done
    ;;
open) cat "$REDRILL_SNAPSHOT.tar" ;;
esac
"""


@pytest.fixture(scope="module")
def fleet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's fleet with two rsync repositories and one of commands."""
    folder = tmp_path_factory.mktemp("trees")
    file = lab_fleet(folder, LAB, SUBNET)
    key = f"/var/lib/redrill/labs/{LAB}/id_ed25519"
    owners = folder / "owners"
    owners.mkdir()
    (owners / "tool").write_text(OWNERS.replace("KEY", key))
    (owners / "tool").chmod(0o755)
    commands = {name: f"{owners}/tool {name}" for name in ("save", "list", "open")}
    settings = {"kind": "command", "create": commands["save"], "snapshots": commands["list"], "open": commands["open"]}
    rsync = {"kind": "rsync", "directory": str(folder / "trees")}
    kinds = iter((rsync, rsync, {**settings, "staging": str(folder / "staging")}))
    text = file.read_text()
    while TAR in text:
        text = text.replace(TAR, f"repository: {json.dumps(next(kinds))}", 1)
    file.write_text(text)
    return file


@pytest.fixture(scope="module")
def lab(fleet_file: Path) -> Iterator[Fleet]:
    fleet = load_fleet(fleet_file)
    with standing(fleet):
        yield fleet


@pytest.mark.usefixtures("lab")
def test_the_lab_comes_back_from_trees_and_commands(fleet_file):
    drilled = run_redrill(fleet_file, fleet_file.parent / "reports", "--redrill-mode=replace")
    assert drilled.status == 0, drilled.output
    assert drilled.verdict["decision"] == "APPROVE"
    snapshots = {name: record["snapshot"] for name, record in drilled.records.items() if record["snapshot"]}
    assert {name: found["id"][:4] for name, found in snapshots.items()}["kv-1"] == "kv-1"
    trees = fleet_file.parent / "trees"
    assert {path.name for path in trees.iterdir()} == {"web-1", "db-1"}
    assert list((fleet_file.parent / "staging").iterdir()) == []
