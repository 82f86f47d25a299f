"""What the wheel ships, and that it works where there is nothing but a fleet file."""

import subprocess
import zipfile
from pathlib import Path

from selftests.support.orchard import plant_orchard
from selftests.support.wheels import run_elsewhere

PACKAGES = {"redrill", "redrill_fixtures", "redrill_suites"}


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_ships_three_packages_and_nothing_else(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in names_in(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES
    assert len(tops) == len(PACKAGES) + 1


def test_the_wheel_ships_no_test_of_redrill_itself(wheel: Path) -> None:
    assert [name for name in names_in(wheel) if "selftest" in name or "benchmark" in name] == []


def test_the_packages_are_typed_and_licensed(wheel: Path) -> None:
    names = names_in(wheel)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


def test_the_suites_observe_a_fleet_where_nothing_else_is(python_elsewhere: Path, tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    orchard = plant_orchard(tmp_path / "lab")
    folder = tmp_path / "user"
    folder.mkdir()
    orchard.fleet.rename(folder / "fleet.yml")
    before = orchard.manifest()
    run = run_elsewhere(python_elsewhere, folder)
    assert run.status == 0, run.output
    assert run.verdict["mode"] == "observe"
    assert len(run.tests("passed")) > len(run.records) == 3
    assert orchard.manifest() == before


def test_the_command_is_installed(python_elsewhere: Path) -> None:
    command = [python_elsewhere.with_name("redrill"), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("redrill, version ")


def test_the_environment_knows_nothing_of_the_checkout(python_elsewhere: Path) -> None:
    script = "import redrill, importlib.util as u; print(redrill.__file__, u.find_spec('selftests'))"
    done = subprocess.run([python_elsewhere, "-I", "-c", script], capture_output=True, text=True, check=True, cwd="/")
    assert str(python_elsewhere.parents[1]) in done.stdout
    assert done.stdout.endswith(" None\n")
