import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import redrill
from redrill.backends import known_backends, load_backend, settings_of
from redrill.cli import main, pytest_command
from redrill.errors import Exit, FleetError, GuardError

FLEET = """\
fleet: shop
environment: staging
endpoints:
  web-1:
    role: web
    address: 10.0.0.1
    tags: [front]
    expendable: true
    image: {name: debian, version: "12"}
    provisioner: {kind: made-up, folder: "[red]"}
    repository: {kind: keeper}
  logs-1: {address: 10.0.0.2, ssh: {port: 2222}}
roles: {web: }
"""

BACKENDS = """\
from pathlib import Path
from pydantic import BaseModel

class Settings(BaseModel):
    folder: Path = Path("/")

class MadeUp:
    Settings = Settings

class Unset:
    pass

number = 7
"""

ENTRY_POINTS = """\
[redrill.provisioners]
made-up = made_up_backends:MadeUp
broken = made_up_backends_that_are_missing:Broken
absent = made_up_backends:Absent
unset = made_up_backends:Unset
number = made_up_backends:number

[redrill.repositories]
keeper = made_up_backends:MadeUp
"""

# Stands where pytest would be found: tells its arguments, then ends as it is told to.
STAND_IN = """\
import json, os, signal, sys
print(json.dumps(sys.argv[1:]), os.getpid(), flush=True)
if os.environ.get("STAND_IN") == "wait":
    signal.pause()
sys.exit(int(os.environ.get("STAND_IN", "0")))
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A folder on the import path with a distribution that provides backends."""
    site = tmp_path / "site"
    metadata = site / "made_up-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (site / "made_up_backends.py").write_text(BACKENDS)
    monkeypatch.syspath_prepend(str(site))
    return site


@pytest.fixture
def fleet_file(installed):
    path = installed.parent / "fleet.yml"
    path.write_text(FLEET)
    return path


@pytest.fixture
def start(installed, tmp_path):
    """Start the command as a process of its own, with a stand-in for pytest."""
    (installed / "pytest.py").write_text(STAND_IN)

    def start(*arguments, **environment):
        path = os.pathsep.join([str(installed), str(Path(redrill.__file__).parents[1])])
        return subprocess.Popen(
            [sys.executable, "-m", "redrill.cli", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": path, **environment},
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


def test_a_run_becomes_pytest_with_its_exit_status(start, fleet_file):
    process = start("run", fleet_file, "--mode", "replace", STAND_IN="14")
    stdout, _ = process.communicate(timeout=60)
    arguments, _, pid = stdout.rpartition(" ")
    assert process.returncode == 14
    assert int(pid) == process.pid
    assert f"--redrill-fleet={fleet_file}" in json.loads(arguments)


def test_a_signal_reaches_pytest_itself(start, fleet_file):
    process = start("run", fleet_file, STAND_IN="wait")
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM


def test_unknown_options_and_paths_go_to_pytest_in_their_order(start, fleet_file):
    extra = ["-k", "drift and not /usr", "--maxfail=1", "-vv", "-n", "2", "tests/", "--redrill-record", "runs/x"]
    process = start("run", fleet_file, *extra, "--mode", "replace", "--endpoint", "web-1", "--tag", "front")
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    arguments = json.loads(stdout.rpartition(" ")[0])
    assert arguments[-len(extra) :] == extra
    assert {"--redrill-mode=replace", "--redrill-endpoint=web-1", "--redrill-tag=front"} <= set(arguments)


def test_a_wrong_fleet_file_ends_before_pytest_starts(start, fleet_file):
    fleet_file.write_text("fleet: shop\nfleet: shop\nendpoints: {web-1: {adress: a}}\n")
    process = start("run", fleet_file)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (Exit.USAGE, "")
    assert f"{fleet_file}:2:1: the key 'fleet' was given before" in stderr
    assert f"{fleet_file}:3:21: endpoints.web-1.adress: unknown key 'adress'" in stderr
    assert "Traceback" not in stderr


def test_a_reader_that_goes_away_gets_no_traceback(start):
    process = start("schema")
    process.stdout.close()
    assert process.wait(timeout=60) != 0
    assert "Traceback" not in process.stderr.read()


def test_the_command_line_leaves_no_say_to_a_configuration_that_lies_around(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    command = pytest_command(
        fleet_file=Path("f.yml"),
        mode="observe",
        names=["a", "b"],
        roles=[],
        tags=[],
        said={"confirm": "p", "change": None},
        extra=["x"],
    )
    assert command == [
        *(sys.executable, "-m", "pytest", "-c", os.devnull, f"--rootdir={tmp_path}", "--pyargs", "redrill_suites"),
        *("--redrill-fleet=f.yml", "--redrill-mode=observe", "--redrill-endpoint=a", "--redrill-endpoint=b"),
        *("--redrill-confirm=p", "x"),
    ]


@pytest.mark.parametrize("option", ["--endpoint", "--role", "--tag"])
def test_an_empty_choice_never_means_all(fleet_file, option, capsys):
    assert main(["run", str(fleet_file), f"{option}="]) == Exit.GUARD
    assert "which never means all" in capsys.readouterr().err


def test_pytest_options_before_the_fleet_file_are_explained(fleet_file, capsys):
    assert main(["run", "-x", str(fleet_file)]) == Exit.USAGE
    assert "Name the fleet file before the options of pytest; found '-x'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["run"], ["plan", "f.yml", "--mode", "burn"], ["nonsense"], ["plan", "f.yml", "--bogus"], []],
)
def test_wrong_usage_ends_with_the_status_of_wrong_usage(arguments, capsys):
    assert main(arguments) == Exit.USAGE
    assert "Usage: redrill" in capsys.readouterr().err


def test_a_missing_fleet_file_is_one_clear_sentence(capsys):
    assert main(["plan", "/nowhere/fleet.yml"]) == Exit.USAGE
    expected = (
        "redrill: The fleet file '/nowhere/fleet.yml' cannot be read: No such file or directory; check the path.\n"
    )
    assert capsys.readouterr().err == expected


def test_a_plan_to_observe_shows_every_endpoint(fleet_file, capsys):
    assert main(["plan", str(fleet_file)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "10.0.0." in line]
    web, logs = rows
    assert [cell.strip() for cell in web.strip("│").split("│")] == [
        *("web-1", "web", "10.0.0.1", "made-up", "debian 12", "keeper", "yes", "observe, change nothing")
    ]
    assert "10.0.0.2 port 2222" in logs


def test_a_plan_to_observe_refuses_nothing(fleet_file, capsys):
    assert main(["plan", str(fleet_file)]) == 0
    assert "REFUSED" not in capsys.readouterr().out


def test_a_plan_that_refuses_everything_ends_with_the_status_of_a_guard(fleet_file, capsys):
    assert main(["plan", str(fleet_file), "--mode", "replace", "--endpoint", "logs-1"]) == Exit.GUARD
    assert "must not wipe 'logs-1': it is not 'expendable: true'" in capsys.readouterr().err


@pytest.mark.usefixtures("installed")
def test_the_schema_is_json_with_the_settings_of_installed_backends(monkeypatch, capsys):
    monkeypatch.setattr("redrill.cli.GROUPS", ("repositories",))
    monkeypatch.setattr("redrill.cli.known_backends", lambda _group: ("keeper",))
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$defs"]["repository"]["properties"]["kind"]["enum"] == ["keeper"]


@pytest.mark.parametrize(
    ("failure", "status"),
    [(GuardError("No."), Exit.GUARD), (FleetError("a", "b"), Exit.USAGE), (KeyboardInterrupt(), 15)],
)
def test_each_known_failure_ends_with_its_own_status_and_no_traceback(fleet_file, monkeypatch, capsys, failure, status):
    def fail(*_):
        raise failure

    monkeypatch.setattr("redrill.cli.load_fleet", fail)
    assert main(["plan", str(fleet_file)]) == status
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_of_the_harness_never_ends_with_the_status_of_a_judgement(fleet_file, monkeypatch, capsys):
    monkeypatch.setattr("redrill.cli.load_fleet", lambda _path: 1 / 0)
    assert main(["plan", str(fleet_file)]) == Exit.INCOMPLETE
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.usefixtures("installed")
def test_an_installed_backend_is_known_and_loaded_by_name():
    assert "made-up" in known_backends("provisioners")
    assert load_backend("provisioners", "made-up").__name__ == "MadeUp"
    assert settings_of("repositories", "keeper").__name__ == "Settings"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nobody", "There is no backend 'nobody' in redrill.provisioners; installed are: "),
        ("broken", "made_up_backends_that_are_missing:Broken) cannot be imported: ModuleNotFoundError: "),
        ("absent", "made_up_backends:Absent) cannot be imported: AttributeError: "),
        ("number", "made_up_backends:number) is 7, not a class."),
        ("unset", "The backend 'unset' of redrill.provisioners has no pydantic model called 'Settings'."),
    ],
)
def test_a_backend_that_cannot_be_used_is_named_with_the_reason(kind, message):
    with pytest.raises(FleetError) as caught:
        settings_of("provisioners", kind)
    assert message in str(caught.value)


def test_the_same_kind_from_two_packages_is_refused(installed):
    other = installed / "other-1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    (other / "entry_points.txt").write_text("[redrill.provisioners]\nmade-up = made_up_backends:Unset\n")
    with pytest.raises(FleetError, match="Several packages provide the backend 'made-up'"):
        load_backend("provisioners", "made-up")
