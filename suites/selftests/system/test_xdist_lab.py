"""Drills of real endpoints by pytest with four workers, and one that ends before its wipe: counted by the boots."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from redrill.model.fleet import Fleet
from redrill.provisioners.nspawn_place import LabPlace
from selftests.support.drills import Drilled, run_redrill
from selftests.support.labs import run_on
from selftests.support.orchard import redeploys

DRILLED = ("web-1", "db-1", "kv-1")
BOOTS = "journalctl --list-boots --no-pager --quiet | awk '{print $2}'"
BOOT_ID = "tr -d - < /proc/sys/kernel/random/boot_id"


def boots_of(fleet: Fleet, name: str) -> set[str]:
    return set(run_on(fleet, name, BOOTS).split())


def count_starts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let every start of a container write its name into the file that is returned."""
    counted, real = folder / "starts", shutil.which("systemd-nspawn")
    counted.touch()
    wrapper = folder / "bin/systemd-nspawn"
    wrapper.parent.mkdir()
    wrapper.write_text(f"""#!/bin/sh\necho "$@" >> '{counted}'\nexec {real} "$@"\n""")
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(wrapper.parent), prepend=":")
    return counted


def test_four_workers_redeploy_each_endpoint_exactly_once(
    lab: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: boots_of(lab, name) for name in DRILLED}
    sink = run_on(lab, "logs-1", BOOT_ID)
    counted = count_starts(tmp_path, monkeypatch)
    run = run_redrill(lab.source, tmp_path / "reports", "--redrill-mode=replace", "-n4")
    assert run.status == 0, run.output
    assert redeploys(run) == Counter(DRILLED)
    names = [word.partition("=")[2] for word in counted.read_text().split() if word.startswith("--machine=")]
    assert sorted(names) == sorted(LabPlace(lab.name).endpoint(name).machine for name in DRILLED)
    for name in DRILLED:
        new = boots_of(lab, name) - before[name]
        assert new == {run.records[name]["after"]["boot_id"].replace("-", "")} == {run_on(lab, name, BOOT_ID)}
    assert run_on(lab, "logs-1", BOOT_ID) == sink, "what must not be drilled was not rebooted"


@pytest.fixture(scope="module")
def refused(lab: Fleet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Drilled, str, str]:
    """A drill of 'kv-1' whose backups would go to what is no folder, and its boot id before and after."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "backups").write_text("not a folder\n")
    fleet = folder / "fleet.yml"
    fleet.write_text(lab.source.read_text().replace(f"/var/lib/redrill/labs/{lab.name}/backups", f"{folder}/backups"))
    before = run_on(lab, "kv-1", BOOT_ID)
    run = run_redrill(fleet, folder / "reports", "--redrill-mode=replace", "--redrill-endpoint=kv-1")
    return run, before, run_on(lab, "kv-1", BOOT_ID)


def test_without_a_good_backup_nothing_is_wiped(refused: tuple[Drilled, str, str]) -> None:
    run, before, after = refused
    assert run.status == 12, run.output
    assert redeploys(run) == Counter()
    assert before == after


def test_without_a_good_backup_the_applications_run_again(refused: tuple[Drilled, str, str], lab: Fleet) -> None:
    assert refused[0].records["kv-1"]["failure"]["step"] == "back up"
    assert run_on(lab, "kv-1", "systemctl is-active redis-server.service") == "active"
    assert run_on(lab, "kv-1", "find / -xdev -name '.redrill-*'") == ""
