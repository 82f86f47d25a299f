"""What the helpers leave in an Allure results folder, read back from real pytest sessions."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import redrill
from redrill.reporting.allure_files import CATEGORIES, complete_results, write_categories, write_environment
from redrill.reporting.identity import identify, read_plan, write_plan
from selftests.support.drills import plain_environment
from selftests.verdict_samples import START

SUITES = Path(__file__).parents[2]
PLUGIN = """
import pytest
from redrill.errors import Exit, RestoreError
from redrill.reporting import allure_results
from redrill.reporting.identity import identify
from selftests.verdict_samples import START, make_failure, make_record


@pytest.fixture
def record(endpoint):
    return make_record(endpoint, failure=make_failure() if endpoint == "db-1" else None)


@pytest.fixture
def allure_listener(request):
    return request.config.pluginmanager.get_plugin("allure_listener")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "teardown":
        call_spec = getattr(item, "callspec", None)
        identity = identify(
            item.path, item.nodeid, call_spec.params if call_spec else {}, call_spec.id if call_spec else ""
        )
        listener = item.config.pluginmanager.get_plugin("allure_listener")
        times = None
        if item.name.startswith("test_the_drill"):
            record = make_record()
            times = (record.started, record.ended)
        allure_results.name_result(listener, identity, times)
    return report
"""
SUITE = """
import os
import allure
import pytest
from redrill.analysis.weighing import weigh
from redrill.errors import RestoreError
from redrill.model.waivers import Waivers
from redrill.reporting import allure_results
from selftests.finding_samples import TODAY, find

NAMES = pytest.mark.parametrize("endpoint", ["web-1", "db-1"])


class Image:
    pass


@NAMES
def test_the_drill_is_shown(endpoint, record, allure_listener):
    allure_results.attach_phases(record, allure_listener)


@NAMES
@pytest.mark.parametrize("application", ["shop", "mail"])
def test_recovers(endpoint, application):
    allure.dynamic.parameter("version", "2026.11")
    raw = "" if "PYTEST_XDIST_WORKER" in os.environ else "\\udcff"  # such a report cannot leave an xdist worker
    assert application == "shop", f"the shop is {raw}\\x1b[31m closed"


@pytest.mark.parametrize("image", [Image()], ids=["golden"])
def test_of_the_fleet(image):
    raise RestoreError("the vault is locked")


class TestGroup:
    @NAMES
    def test_in_a_class(self, endpoint, tmp_path):
        allure_results.attach_text("words", "a\\udcffb")
        allure_results.attach_json("facts", {"a": 1})
        allure_results.attach_file(tmp_path / "never", "journal")
        (tmp_path / "a.svg").write_text("<svg/>")
        allure_results.attach_file(tmp_path / "a.svg", "plot")
        allure_results.attach_findings(weigh([find(), find("/opt/a, b")], [], Waivers(), TODAY))


@NAMES
def test_that_kills_its_process(endpoint):
    if os.environ.get("KILL") == endpoint:
        os.abort()
"""


class Session:
    """A package 'shopsuites' with one test module, and pytest started on it in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "lib" / "shopsuites"
        self.package.mkdir(parents=True)
        (self.package / "__init__.py").write_text("")
        (self.package / "test_redeploy_proof.py").write_text(SUITE, "utf-8")
        (folder / "lib" / "naming.py").write_text(PLUGIN, "utf-8")

    def run(self, name: str, *arguments: str, cwd: Path | None = None, **environment: str) -> Path:
        results = self.folder / name
        paths = [self.folder / "lib", SUITES, Path(redrill.__file__).parents[1]]
        plugins = ["-p", "allure_pytest.plugin", "-p", "xdist.plugin", "-p", "naming", "-p", "no:cacheprovider"]
        subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, "--alluredir", results, *arguments],
            cwd=cwd or self.folder,
            env={
                **plain_environment(),
                **environment,
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTHONPATH": os.pathsep.join(map(str, paths)),
            },
            stdout=subprocess.DEVNULL,
            check=False,
        )
        return results


def read(results: Path) -> dict[str, dict]:
    found = [json.loads(path.read_bytes()) for path in results.glob("*-result.json")]
    return {result["name"]: result for result in found}


def labels_of(result: dict, name: str) -> list[str]:
    return [label["value"] for label in result["labels"] if label["name"] == name]


def identities_of(results: Path) -> set[tuple]:
    return {
        (one["historyId"], one["testCaseId"], one["fullName"], one["name"], json.dumps(one.get("parameters")))
        for one in read(results).values()
    }


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return Session(tmp_path_factory.mktemp("session"))


@pytest.fixture(scope="module")
def results(session):
    return session.run("by-package", "--pyargs", "shopsuites")


@pytest.mark.parametrize("way", ["path", "other-rootdir", "importlib", "xdist"])
def test_a_test_is_the_same_however_pytest_is_started(session, results, way, tmp_path):
    module = str(session.package / "test_redeploy_proof.py")
    ways = {
        "path": [module],
        "other-rootdir": [module, "--rootdir", str(session.package)],
        "importlib": [str(session.package), "--import-mode=importlib"],
        "xdist": ["--pyargs", "shopsuites", "-n", "2"],
    }
    found = session.run(way, *ways[way], cwd=tmp_path)
    assert len(identities_of(results)) == 11
    assert identities_of(found) == identities_of(results)


def test_a_copy_of_the_package_elsewhere_has_the_same_history(session, results, tmp_path):
    shutil.copytree(session.package, tmp_path / "site" / "shopsuites")
    found = session.run("copy", str(tmp_path / "site" / "shopsuites"), "--import-mode=importlib")
    assert identities_of(found) == identities_of(results)


def test_a_title_is_a_sentence_with_its_endpoint(results):
    assert {"Recovers · web-1 · shop", "In a class · db-1", "Of the fleet · golden"} <= set(read(results))


def test_the_endpoint_is_the_one_host_and_the_promise_the_suite(results):
    result = read(results)["Recovers · web-1 · shop"]
    expected = {"host": "web-1", "endpoint": "web-1", "parentSuite": "redrill", "suite": "Redeploy proof"}
    assert {name: labels_of(result, name) for name in expected} == {name: [value] for name, value in expected.items()}
    assert labels_of(result, "package") == ["shopsuites.test_redeploy_proof"]
    assert labels_of(read(results)["In a class · web-1"], "subSuite") == []
    assert labels_of(read(results)["Of the fleet · golden"], "host") == ["fleet"]


def test_parameters_stand_by_name_and_those_added_later_are_no_part_of_the_history(results):
    parameters = read(results)["Recovers · web-1 · shop"]["parameters"]
    assert {one["name"]: one["value"] for one in parameters if not one.get("excluded")} == {
        "application": "shop",
        "endpoint": "web-1",
    }
    assert [one["name"] for one in parameters if one.get("excluded")] == ["version"]


def test_an_assertion_is_failed_and_a_redrill_error_is_broken(results):
    assert read(results)["Recovers · web-1 · mail"]["status"] == "failed"
    assert read(results)["Of the fleet · golden"]["status"] == "broken"


def test_a_message_with_raw_bytes_and_control_characters_is_written_escaped(results):
    assert r"the shop is \xff\x1b[31m closed" in read(results)["Recovers · web-1 · mail"]["statusDetails"]["message"]


def test_phases_are_steps_with_their_true_times(results):
    result = read(results)["The drill is shown · web-1"]
    start = round(START.timestamp() * 1000)
    assert [(step["name"], step["start"] - start, step["stop"] - start) for step in result["steps"]] == [
        ("preflight", 0, 1500),
        ("redeploy", 2000, 3500),
        ("restore", 4000, 5500),
        ("settle", 6000, 7500),
    ]
    assert {step["status"] for step in result["steps"]} == {"passed"}
    assert result["steps"][1]["parameters"][1] == {"name": "detail", "value": "redeploy has a detail"}
    assert (result["start"] - start, result["stop"] - start) == (0, 10_000)


def test_a_failed_phase_is_a_broken_step_with_its_cause(results):
    step = read(results)["The drill is shown · db-1"]["steps"][2]
    assert (step["name"], step["status"]) == ("restore", "broken")
    assert step["statusDetails"]["message"].startswith("The restore stopped at 'etc/passwd'.")


def test_attachments_are_whole_and_findings_a_table(results):
    attached = {one["name"]: one for one in read(results)["In a class · web-1"]["attachments"]}
    body = {name: (results / one["source"]).read_text("utf-8") for name, one in attached.items()}
    assert body["words"] == r"a\xffb"
    assert json.loads(body["facts"]) == {"a": 1}
    assert body["journal"].startswith("'never' is missing")
    assert (body["plot"], attached["plot"]["type"]) == ("<svg/>", "image/svg+xml")
    assert attached["findings"]["type"] == "text/csv"
    assert body["findings"].splitlines()[1].startswith('"/opt/a, b: leak: a file",major: it is lost,')


def test_the_test_of_a_killed_worker_gets_a_broken_result(session, results):
    crashed = session.run("crashed", "--pyargs", "shopsuites", "-n", "2", KILL="db-1")
    lost = identify(
        session.package / "test_redeploy_proof.py", "x::test_that_kills_its_process[db-1]", {"endpoint": "db-1"}
    )
    plan = session.folder / "planned.jsonl"
    other = identify(
        session.package / "test_redeploy_proof.py", "x::test_of_the_fleet[golden]", {"image": []}, "golden"
    )
    write_plan(plan, [lost, other])
    assert lost.title not in read(crashed)
    assert complete_results(crashed, read_plan(plan)) == (lost,)
    assert (read(crashed)[lost.title]["status"], labels_of(read(crashed)[lost.title], "host")) == ("broken", ["db-1"])
    assert identities_of(crashed) == identities_of(results)
    assert complete_results(crashed, read_plan(plan)) == ()


def test_two_files_of_one_name_in_different_folders_are_two_modules(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    names = {identify(tmp_path / folder / "test_x.py", "test_x.py::test_y").test for folder in ("a", "b")}
    assert names == {"a.test_x::test_y", "b.test_x::test_y"}


def test_environment_facts_are_escaped(tmp_path):
    write_environment(tmp_path, {"fleet file": "a\\b\nc", "mode": "replace"})
    text = (tmp_path / "environment.properties").read_text("utf-8")
    assert text == "fleet\\ file = a\\\\b c\nmode = replace\n"


def test_categories_are_written_for_every_way_of_not_being_green(tmp_path):
    write_categories(tmp_path)
    assert json.loads((tmp_path / "categories.json").read_bytes()) == list(CATEGORIES)
