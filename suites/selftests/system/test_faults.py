"""Every check is proven able to fail: a fault planted on a real endpoint turns exactly its tests red."""

import ast
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

import redrill_suites
from redrill.loader import load_fleet
from redrill.model.deadline import Deadline
from redrill.model.fleet import Fleet
from selftests.support import faulty_backends
from selftests.support.drills import Drilled, run_redrill
from selftests.support.labs import connect, lab_fleet, rebuild, standing
from selftests.support.planting import Fault
from selftests.support.trees import tree_fleet
from selftests.system.faults import FAULTS, NOT_BY_A_FAULT, rounds

LAB = ("web-1", "db-1", "kv-1")

_PRICES = """
echo 'limit_req_zone $server_name zone=all:1m rate=50r/s; limit_req zone=all burst=20 nodelay;' \\
    >/etc/nginx/conf.d/limit.conf
echo 42 >/var/www/html/prices
systemctl --quiet enable --now nginx.service
"""
"""What makes the sink a neighbour that answers a few at once, and turns away who asks more."""


@dataclass
class Range:
    """The lab in which faults are planted, and one drill for every round of them, made when it is first asked for."""

    folder: Path
    lab: Path
    trees: Path
    drills: dict[int, Drilled] = field(default_factory=dict)

    @property
    def fleet(self) -> Fleet:
        return load_fleet(self.lab)

    def drilled(self, fault: Fault) -> Drilled:
        """Return the drill in which the fault was planted, and its endpoint healed again."""
        number, row = next((i, row) for i, row in enumerate(rounds()) if fault in row)
        if number not in self.drills:
            here = [each for each in row if each.endpoint in LAB]
            try:
                for each in here:
                    self._run(each, each.plant)
                self.drills[number] = self.drill(f"round-{number}", row)
            finally:
                self._heal(here)
        return self.drills[number] if fault.endpoint in LAB else self._drill_tree(fault)

    def drill(self, name: str, faults: list[Fault]) -> Drilled:
        """Drill the endpoints of the faults, with what each says in the fleet file."""
        settings = {each.endpoint: each.fleet for each in faults if each.endpoint in LAB}
        waivers = {key: value for each in faults for key, value in each.waivers.items()}
        for file, text in (item for each in faults for item in each.files.items()):
            (self.folder / file).write_text(text)
        fleet = derive_fleet(self.lab, self.folder / f"{name}.yml", settings, waivers)
        return run_redrill(fleet, self.folder / name, "--redrill-mode=replace", *map(_choose, settings))

    def _drill_tree(self, fault: Fault) -> Drilled:
        fleet = derive_fleet(self.trees, self.trees.with_name("faulty.yml"), {fault.endpoint: fault.fleet})
        return run_redrill(fleet, self.folder / "trees", "--redrill-mode=replace", _choose(fault.endpoint))

    def _run(self, fault: Fault, script: str) -> None:
        machine = connect(self.fleet, fault.endpoint)
        try:
            if script:
                machine.run(script, Deadline.after(30)).checked()
        finally:
            machine.close()

    def _heal(self, faults: list[Fault]) -> None:
        for each in faults:
            if not each.needs_rebuild:
                self._run(each, each.heal)
        self.rebuild(*(each.endpoint for each in faults if each.needs_rebuild))

    def rebuild(self, *endpoints: str) -> None:
        """Bring endpoints back to their Day 1."""
        rebuild(self.fleet, *endpoints)


def derive_fleet(base: Path, path: Path, settings: dict[str, Any], waivers: Mapping[str, Any] | None = None) -> Path:
    """Write a copy of a fleet file in which endpoints say something more, and which may have waivers."""
    document = yaml.safe_load(base.read_text())
    document["defaults"]["objectives"]["rto"] = "40s"
    for name, more in settings.items():
        for key, value in more.items():
            whole = document["defaults"].get(key) or document["roles"][document["endpoints"][name]["role"]].get(key)
            document["endpoints"][name][key] = {**whole, **value} if isinstance(whole, dict) else value
    if waivers:
        path.with_suffix(".waivers.yml").write_text(json.dumps({"waivers": waivers}, indent=1))
        document["waivers"] = f"{path.stem}.waivers.yml"
    path.write_text(json.dumps(document, indent=1))
    return path


def faults_fleet(folder: Path) -> Path:
    """Write the fleet of the lab in which faults are planted: that of every lab, with a neighbour that can be hurt."""
    path = lab_fleet(folder, "faults", "198.18.30")
    document = yaml.safe_load(path.read_text())
    sink, day1 = document["roles"]["sink"], folder / "sink.sh"
    day1.write_text(Path(sink["day1"]).read_text() + _PRICES)
    sink["day1"] = str(day1)
    sink["applications"]["prices"] = {"http": {"path": "/prices", "expect": "42"}}
    path.write_text(json.dumps(document, indent=1))
    return path


def _choose(endpoint: str) -> str:
    return f"--redrill-endpoint={endpoint}"


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    folder = tmp_path_factory.mktemp("faults")
    backends = folder / "backends"
    faulty_backends.install(backends)
    made = Range(folder, faults_fleet(folder), tree_fleet(folder))
    with pytest.MonkeyPatch.context() as patch:
        path = (str(backends), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", ""))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
        with standing(made.fleet):
            yield made


def red_of(drilled: Drilled, endpoint: str) -> set[str]:
    """Return the tests of one endpoint that are failed or broken."""
    return {test for test in drilled.red if test.endswith(f"[{endpoint}]") or f"[{endpoint}-" in test}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_planted_fault_turns_exactly_its_tests_red(faulty: Range, fault: Fault) -> None:
    drilled = faulty.drilled(fault)
    red = red_of(drilled, fault.endpoint)
    told = f"'{fault.name}' on {fault.endpoint}: see {drilled.folder}\n{drilled.output[-6000:]}"
    assert not fault.red - red, f"not seen by {sorted(fault.red - red)}: {told}"
    assert not red - fault.red, f"red as well: {sorted(red - fault.red)}: {told}"
    decisions = {each["endpoint"]: each["decision"] for each in drilled.verdict["endpoints"]}
    assert decisions[fault.endpoint] == "REJECT"
    assert (drilled.verdict["decision"], drilled.status) == ("REJECT", 1)


def test_provisioner_that_destroys_nothing_blocks_every_test_of_its_endpoint(faulty: Range) -> None:
    fleet = derive_fleet(
        faulty.lab, faulty.folder / "nothing.yml", {"kv-1": {"provisioner": {"kind": "destroys-nothing"}}}
    )
    drilled = run_redrill(fleet, faulty.folder / "nothing", "--redrill-mode=replace", _choose("kv-1"))
    faulty.rebuild("kv-1")
    assert drilled.tests("passed") == set()
    assert "should be gone" in drilled.verdict["endpoints"][0]["first_cause"]
    assert (drilled.verdict["decision"], drilled.status) == ("INCOMPLETE", 14)


def test_healed_endpoints_are_approved(faulty: Range) -> None:
    drilled = run_redrill(faulty.lab, faulty.folder / "healed", "--redrill-mode=replace", *map(_choose, LAB))
    assert (drilled.red, drilled.verdict["decision"], drilled.status) == (set(), "APPROVE", 0), drilled.output[-6000:]


def test_every_compliance_test_is_turned_red_by_a_fault() -> None:
    folder = Path(next(iter(redrill_suites.__path__)))
    trees = [ast.parse(file.read_text()) for file in folder.glob("test_*.py")]
    tests = {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}
    tests = {name for name in tests if name.startswith("test_")}
    covered = {test.partition("[")[0] for fault in FAULTS for test in fault.red}
    assert covered <= tests
    assert tests - covered == set(NOT_BY_A_FAULT)


def test_no_two_faults_share_a_name() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
