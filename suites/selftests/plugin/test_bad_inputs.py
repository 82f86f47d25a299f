"""Each bad configuration or inventory, tried as a user would: one clear message, its exit status, nothing wiped."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from redrill.errors import Exit
from redrill.machine.walker import walk
from redrill.model.manifest import ATTRIBUTES, Manifest, compare
from selftests.support import counted_backends
from selftests.support.bad_ground import Ground
from selftests.support.bad_inputs import CATALOGUE, TITLES, TO_REFUSE, BadInput
from selftests.support.drills import read_run
from selftests.support.history import violations
from selftests.support.orchard import redeploys
from selftests.support.sshd import running_sshd

SUITES = Path(__file__).parents[2]
WIPE = ("--mode", "replace", "--environment", "lab")
PYTEST = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")


@pytest.fixture(scope="module", autouse=True)
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("backends")
    counted_backends.install(folder)
    with pytest.MonkeyPatch.context() as patch:
        places = (str(folder), str(SUITES), os.environ.get("PYTHONPATH", ""))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, places)))
        patch.delenv("REDRILL_TEST_UNSET", raising=False)
        patch.syspath_prepend(folder)
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield Ground.prepare(tmp_path_factory.mktemp("good"), server)


@pytest.fixture
def ground(good: Ground, tmp_path: Path) -> Iterator[Ground]:
    copied = good.copy(tmp_path)
    with copied.undo:
        yield copied


def drill(ground: Ground, options: Sequence[str] = ()) -> tuple[int, str]:
    """Run what would wipe the fleet, where nothing else is; return its status and all that it printed."""
    reports = f"--redrill-reports={ground.folder / 'reports'}"
    command = [sys.executable, "-m", "redrill.cli", "run", ground.fleet, *WIPE, *options, reports, *PYTEST]
    done = subprocess.run(
        command,
        cwd=ground.folder,
        env={**os.environ, **ground.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def destroyed(ground: Ground) -> list[str]:
    """Return the endpoints that a provisioner was told to destroy."""
    count = ground.folder / counted_backends.COUNT
    return count.read_text().split() if count.exists() else []


def state_of(ground: Ground) -> Manifest:
    """Return everything that the endpoints are made of."""
    return walk(ground.folder / "lab", ("/oak-1", "/elm-1", "/ash-1"))


def touched(before: Manifest, after: Manifest, status: int) -> list[str]:
    """Return what is different, but for the times where a drill came as far as its backup: it has planted till then."""
    attributes = [name for name in ATTRIBUTES if name != "mtime_ns" or status != Exit.BACKUP]
    return [each.path for each in compare(before, after, attributes)]


def contacts_of(ground: Ground) -> int:
    """Return how often somebody connected to the SSH server."""
    return ground.sshd.log.read_text().count("Connection from ")


def place_of(ground: Ground, text: str) -> str:
    """Return where a text begins in the fleet file, as messages tell it."""
    whole = ground.fleet.read_bytes().decode("utf-8", "replace")
    before = whole[: whole.index(text)]
    return f"{ground.fleet}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: "


def test_the_catalogue_has_every_number_and_no_other() -> None:
    assert list(TITLES) == list(range(1, 33))
    assert {bad.number for bad in CATALOGUE} == set(TITLES)
    assert [bad.number for bad in CATALOGUE] == sorted(bad.number for bad in CATALOGUE)
    assert len({str(bad) for bad in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize("number", TITLES)
def test_another_exit_status_than_that_of_the_number_has_its_reason(number: int) -> None:
    wanted = 10 if number in TO_REFUSE else 4
    entries = [bad for bad in CATALOGUE if bad.number == number]
    assert [str(bad) for bad in entries if (bad.status == wanted) is bool(bad.why)] == []


def test_the_fleet_that_is_spoilt_would_be_wiped(good: Ground, tmp_path: Path) -> None:
    fleet = Ground.prepare(tmp_path, good.sshd)  # the endpoints of a copy log to where the original does
    status, output = drill(fleet, ("-k", "test_drill_runs_to_its_end"))
    assert status == 0, output
    assert sorted(destroyed(fleet)) == ["ash-1", "elm-1", "oak-1"]


@pytest.mark.parametrize("bad", CATALOGUE, ids=str)
def test_it_is_refused_in_words_and_nothing_is_wiped(ground: Ground, bad: BadInput) -> None:
    options = bad.spoil(ground) or ()
    before, contacts = state_of(ground), contacts_of(ground)
    status, output = drill(ground, options)
    assert status == bad.status, output
    told = " ".join(output.split())
    for words in bad.words:
        assert words in told, output
    if bad.at is not None:
        assert place_of(ground, bad.at) in output, output
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output
    assert destroyed(ground) == []
    assert touched(before, state_of(ground), bad.status) == []
    assert not (ground.folder / "pwn").exists()
    assert (contacts_of(ground) > contacts) is bad.is_contacted
    run = read_run(ground.folder / "reports", status, output)
    if run.folder:
        assert redeploys(run) == {}
        assert violations(run.folder) == []
