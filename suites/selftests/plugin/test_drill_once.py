"""However pytest is told to run the tests, each endpoint that they are about is redeployed exactly once."""

from collections import Counter
from pathlib import Path

import pytest

from selftests.support.drills import run_pytest
from selftests.support.orchard import ENDPOINTS, SUITES, Orchard, plant_orchard, redeploys


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Orchard:
    return plant_orchard(tmp_path_factory.mktemp("orchard"))


WAYS = {
    "alone": (),
    "four workers": ("-n4",),
    "a module a worker": ("-n2", "--dist=loadscope"),
    "two workers, with reruns": ("-n2", "--reruns=2"),
    "until the first failure": ("-x",),
}


@pytest.mark.parametrize("arguments", WAYS.values(), ids=WAYS)
def test_each_endpoint_is_redeployed_exactly_once(orchard: Orchard, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    before = orchard.boots
    run = orchard.drill(tmp_path, *arguments)
    assert run.status == 0, run.output
    once = Counter(ENDPOINTS)
    assert redeploys(run) == once
    assert orchard.boots - before == once
    for name in ENDPOINTS:
        record = run.records[name]
        assert record["before"]["boot_id"] != record["after"]["boot_id"]
        assert (orchard.root(name) / "run/boot-id").read_text().strip() == record["after"]["boot_id"]


def test_failures_of_the_last_run_are_drilled_again_alone(orchard: Orchard, tmp_path: Path) -> None:
    def run(*arguments: str) -> Counter[str]:
        before = orchard.boots
        done = run_pytest(tmp_path, *SUITES, f"--redrill-fleet={orchard.fleet}", "--redrill-mode=replace", *arguments)
        assert redeploys(done) == orchard.boots - before
        return redeploys(done)

    leak = orchard.root("ash-1") / "opt/leak"
    leak.write_text("made by hand\n")
    assert run("--lf") == Counter(ENDPOINTS)
    assert run("--lf") == Counter(["ash-1"])
    assert run("--lf") == Counter(ENDPOINTS)


def test_nothing_collected_is_nothing_drilled(orchard: Orchard, tmp_path: Path) -> None:
    before = orchard.manifest()
    run = orchard.drill(tmp_path, "-k", "nothing_that_exists")
    assert run.status == 5, run.output
    assert run.verdict["decision"] == "INCOMPLETE"
    assert redeploys(run) == Counter()
    assert orchard.manifest() == before


@pytest.mark.parametrize(
    "arguments",
    [("--collect-only",), ("--collect-only", "-n2"), ("--setup-plan",), ("--fixtures",), ("--help",)],
    ids=" ".join,
)
def test_looking_at_what_there_is_touches_nothing(orchard: Orchard, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    before = orchard.manifest()
    run = orchard.drill(tmp_path, *arguments)
    assert run.status == 0, run.output
    assert list(tmp_path.iterdir()) == []
    assert orchard.manifest() == before


def test_setting_up_without_judging_is_refused(orchard: Orchard, tmp_path: Path) -> None:
    before = orchard.manifest()
    run = orchard.drill(tmp_path, "--setup-only")
    assert run.status == 4, run.output
    assert orchard.manifest() == before


CHOICES = {
    "by expression": (("-n2", "-k", "drift and oak-1"), ["oak-1"]),
    "by name": (("--redrill-endpoint=oak-1", "--redrill-endpoint=elm-1"), ["oak-1", "elm-1"]),
    "by role": (("--redrill-role=bare",), ["elm-1"]),
    "by tag": (("--redrill-tag=small",), ["ash-1"]),
}


@pytest.mark.parametrize(("arguments", "chosen"), CHOICES.values(), ids=CHOICES)
def test_only_the_chosen_endpoints_are_drilled(
    orchard: Orchard, tmp_path: Path, arguments: tuple[str, ...], chosen: list[str]
) -> None:
    before = orchard.boots
    run = orchard.drill(tmp_path, *arguments)
    assert run.status == 0, run.output
    assert redeploys(run) == orchard.boots - before == Counter(chosen)
    assert [one["endpoint"] for one in run.verdict["endpoints"]] == chosen
    assert {test.partition("[")[2][:5] for test in run.outcomes if "[" in test} == {name[:5] for name in chosen}


def test_parameters_of_the_users_own_do_not_hide_the_endpoint(orchard: Orchard, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "def pytest_generate_tests(metafunc):\n"
        "    if 'flavour' in metafunc.fixturenames:\n"
        "        metafunc.parametrize('flavour', ['sweet', 'sour'])\n"
    )
    (tmp_path / "test_own.py").write_text("def test_taste(flavour, endpoint, record):\n    assert record.wiped_at\n")
    options = (f"--redrill-fleet={orchard.fleet}", "--redrill-mode=replace", "--redrill-tag=small")
    run = run_pytest(tmp_path, "test_own.py", "-n2", *options)
    assert run.status == 0, run.output
    assert redeploys(run) == Counter(["ash-1"])
