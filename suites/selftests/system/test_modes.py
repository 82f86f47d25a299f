"""Modes 'vanilla' and 'relocate' on endpoints that are directories: what passes, what each test sees, what breaks."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from redrill.drill.engine import run_drill
from redrill.drill.resume import find_quarantined
from redrill.errors import Exit, GuardError
from redrill.lab.trees import bring_up_tree
from redrill.model.record import DrillRecord, Step
from redrill.model.values import Mode
from selftests.support import faulty_backends
from selftests.support.drills import Drilled, run_redrill
from selftests.support.engine import authorize_one
from selftests.support.history import violations
from selftests.support.trees import TREE_FLEET, root_of, tree_fleet
from selftests.support.world import ENDPOINT, Injector, World

ENDPOINTS = ("oak-1", "elm-1", "ash-1")
NEW_HOST = "oak-1b"


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three endpoints that are directories, for drills that leave them as they were."""
    return tree_fleet(tmp_path_factory.mktemp("modes"))


def derive(base: Path, name: str, settings: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write a copy of a fleet file in which endpoints say something more."""
    document = yaml.safe_load(base.read_text())
    document["defaults"]["objectives"]["rto"] = "10s"
    for endpoint, more in settings.items():
        document["endpoints"][endpoint] |= more
    path = base.with_name(name)
    path.write_text(yaml.safe_dump(document))
    return path


def red_of(drilled: Drilled, endpoint: str) -> set[str]:
    """Return the names of the tests of one endpoint that are red."""
    return {test.partition("[")[0] for test in drilled.red if f"[{endpoint}]" in test or f"[{endpoint}-" in test}


@pytest.mark.parametrize("mode", [Mode.VANILLA, Mode.RELOCATE])
def test_every_sample_endpoint_passes(trees: Path, tmp_path: Path, mode: Mode) -> None:
    drilled = run_redrill(trees, tmp_path, f"--redrill-mode={mode}")
    assert (drilled.red, drilled.verdict["decision"], drilled.status) == (set(), "APPROVE", 0), drilled.output
    home = root_of(trees.parent, NEW_HOST).parent.parent
    assert [root_of(trees.parent, name).exists() for name in ENDPOINTS] == [True] * 3
    assert list(home.glob("*-1b")) == []
    assert list(root_of(trees.parent, ENDPOINT).rglob("*redrill*")) == []


def test_a_system_that_keeps_something_without_a_restore_is_seen(
    trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty_backends.install(tmp_path / "backends")
    path = (str(tmp_path / "backends"), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    image = tmp_path / "image"
    shutil.copytree(TREE_FLEET.parents[1] / "images/tree", image, symlinks=True)
    (image / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    provisioner = yaml.safe_load(trees.read_text())["defaults"]["provisioner"]
    kinds: dict[str, dict[str, str]] = {
        "oak-1": {"kind": "keeps-opt-of-the-old"},
        "elm-1": {"kind": "tree", "image": str(image)},
        "ash-1": {"kind": "only-starts"},
    }
    faults = {name: {"provisioner": {**provisioner, **kind}} for name, kind in kinds.items()}
    drilled = run_redrill(derive(trees, "vanilla.yml", faults), tmp_path, "--redrill-mode=vanilla")
    assert red_of(drilled, "oak-1") == {"test_nothing_of_the_old_endpoint_is_left"}, drilled.output
    assert red_of(drilled, "elm-1") == {"test_fresh_identity_is_nobodys"}
    assert red_of(drilled, "ash-1") == {
        "test_image_boots_and_is_reachable",
        "test_fresh_identity_is_nobodys",
        "test_state_paths_are_those_of_the_image",
        "test_nothing_of_the_old_endpoint_is_left",
    }


def test_a_new_host_that_is_not_its_own_or_cannot_serve_is_seen(trees: Path, tmp_path: Path) -> None:
    for name, script in {"oak-1": "etc/hostname", "elm-1": "etc/machine-id"}.items():
        root = root_of(trees.parent, name)
        shutil.copy(root / script, root / "etc/app/own")
        (root / "etc/rc.start/10-own").write_text(f'cp "$ROOT/etc/app/own" "$ROOT/{script}"\n')
    config = root_of(trees.parent, "ash-1") / "etc/app/app.conf"
    text = config.read_text()
    config.write_text(f'{text}case $(cat "$ROOT/etc/hostname") in ash-1) ;; *) exit 1 ;; esac\n')
    fleet = derive(trees, "relocate.yml", {"ash-1": {"relocate": {"name": "ash-1b", "keep": "new"}}})
    drilled = run_redrill(fleet, tmp_path, "--redrill-mode=relocate")
    for name in ("oak-1", "elm-1"):
        (root_of(trees.parent, name) / "etc/app/own").unlink()
        (root_of(trees.parent, name) / "etc/rc.start/10-own").unlink()
    config.write_text(text)

    assert red_of(drilled, "oak-1") == {"test_new_host_has_its_name", "test_identity_is_kept"}, drilled.output
    assert red_of(drilled, "elm-1") == {
        "test_new_host_is_another_one",
        "test_identity_is_kept",
        "test_nothing_is_bound_to_this_host",  # by the copy of its id
    }
    assert red_of(drilled, "ash-1") == {
        "test_application_is_healthy",
        "test_wanted_host_is_left",
        "test_endpoint_is_like_its_role",  # for what was planted is on no other
    }
    assert "/etc/app/app.conf:2: case $(cat" in drilled.output
    assert (root_of(trees.parent, "ash-1") / "run/boot-id").exists(), "the old host was not started again"
    assert root_of(trees.parent, "ash-1b").is_dir(), "nobody could look for the reason any more"
    assert not (root_of(trees.parent, "ash-1b") / "run/boot-id").exists(), "two hosts do the same work"


def relocate(world: World, step: Step | None = None, harm: Callable[[], object] = lambda: None) -> DrillRecord:
    world.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    authorized, endpoints = authorize_one(world.fleet, ENDPOINT, Mode.RELOCATE), (world.fleet.endpoint(ENDPOINT),)
    injector = Injector(step, harm)
    (record,) = run_drill(world.fleet, endpoints, Mode.RELOCATE, world.run_dir, injector, authorized=authorized)
    return record


@pytest.mark.parametrize("step", [Step.REDEPLOY, Step.RESTORE])
def test_the_old_host_serves_again_when_the_move_breaks(world: World, step: Step) -> None:
    def harm() -> None:
        shutil.rmtree(world.backups, ignore_errors=True)
        shutil.rmtree(world.image, ignore_errors=True)

    record = relocate(world, step, harm)
    assert record.failure is not None
    assert (record.failure.step, record.failure.exit_code, record.wiped_at) == (step, Exit.INCOMPLETE, None)
    assert "Nothing was destroyed: the old host of 'oak-1' was started again" in record.failure.message
    assert record.relocation is not None
    assert record.relocation.kept == "old"
    assert world.unlike() == []
    assert world.app_status() == 0
    assert list(world.root.rglob(".redrill-*")) == []
    assert find_quarantined(world.folder / "runs") == []
    assert violations(world.run_dir) == []


def test_an_old_host_that_does_not_serve_again_is_quarantined(world: World) -> None:
    def harm() -> None:
        shutil.rmtree(world.backups)
        (world.root / "etc/rc.start/10-broken").write_text("exit 1\n")

    record = relocate(world, Step.RESTORE, harm)
    assert record.failure is not None
    assert (record.failure.step, record.failure.exit_code) == (Step.RESTORE, Exit.QUARANTINED)
    assert "Afterwards the old host could not be put back into service" in record.failure.message
    assert [each.endpoint for each in find_quarantined(world.folder / "runs")] == [ENDPOINT]


def test_the_new_host_is_there_until_the_old_one_serves_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redrill.drill.relocate._HEALTH_SECONDS", 0.5)
    record = relocate(world, Step.HAND_BACK, lambda: (world.root / "etc/rc.start/10-broken").write_text("exit 1\n"))
    assert record.failure is not None
    assert (record.failure.step, record.failure.exit_code) == (Step.HAND_BACK, Exit.QUARANTINED)
    assert (root_of(world.folder, NEW_HOST) / "var/lib/app").is_dir(), record.failure.message


def test_an_endpoint_that_is_to_move_leaves_its_old_host_for_good(world: World) -> None:
    world.change("relocate: {name: oak-1b}", "relocate: {name: oak-1b, keep: new}")
    record = relocate(world)
    assert record.failure is None
    assert record.relocation is not None
    assert record.relocation.kept == "new"
    assert not world.home.exists()
    root = root_of(world.folder, NEW_HOST)
    assert (root / "etc/hostname").read_text() == "oak-1b\n"
    command = ["sh", f"{root}/usr/bin/app-status"]
    assert subprocess.run(command, env={**os.environ, "ROOT": str(root)}, check=False).returncode == 0
    assert list(root.rglob(".redrill-*")) == []
    assert find_quarantined(world.folder / "runs") == []


def test_what_makes_the_new_host_may_be_another_provisioner(world: World) -> None:
    elsewhere, image = world.folder / "elsewhere", world.folder / "image-2"
    shutil.copytree(world.image, image, symlinks=True)
    other = f"{{kind: tree, directory: {elsewhere}, image: {image}}}"
    world.change("relocate: {name: oak-1b}", f"relocate: {{name: oak-1b, keep: new, provisioner: {other}}}")
    record = relocate(world)
    assert record.failure is None
    assert record.relocation is not None
    assert (record.relocation.kept, record.relocation.new.root) == ("new", elsewhere / "oak-1b/root")
    assert not world.home.exists()
    assert (elsewhere / "oak-1b/root/etc/hostname").read_text() == "oak-1b\n"
    with pytest.raises(GuardError, match="call the endpoint 'oak-1b', give it the provisioner of 'relocate:' and"):
        bring_up_tree(world.fleet, world.fleet.endpoint(ENDPOINT), print)


CONTAINER = "address: 198.18.103.9, provisioner: {kind: nspawn}"
NEEDS = ": endpoints.oak-1.relocate: the new host cannot be made: endpoints.oak-1b."
DEFINED = "image: {definition: ../images/debian-12-lab}, "


@pytest.mark.parametrize(
    ("more", "new", "why"),
    [
        ("", "provisioner: {kind: nspawn}", f"{NEEDS}image.definition: the provisioner 'nspawn' needs"),
        (DEFINED, "provisioner: {kind: nspawn}", f"{NEEDS}address: the provisioner 'nspawn' needs an IPv4 address"),
        (DEFINED, CONTAINER, ": endpoints.oak-1.relocate.provisioner.kind: a directory cannot stand for a system"),
    ],
)
def test_a_new_host_that_can_never_take_over_is_a_mistake_of_the_fleet_file(
    world: World, tmp_path: Path, more: str, new: str, why: str
) -> None:
    world.change("role: app, relocate: {name: oak-1b}", f"role: app, {more}relocate: {{name: oak-1b, {new}}}")
    chosen = ("--redrill-mode=relocate", "--redrill-endpoint=oak-1")
    drilled = run_redrill(world.fleet.source, tmp_path / "reports", *chosen)
    assert drilled.status == Exit.USAGE, drilled.output
    assert re.search(rf"{re.escape(str(world.fleet.source))}:\d+:\d+{re.escape(why)}", drilled.output), drilled.output
    world.require_as_it_was()
    assert run_redrill(world.fleet.source, tmp_path / "reports", "--redrill-endpoint=oak-1").status == 0


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "it declares no 'relocate:', so nobody knows its new host"),
        ("relocate: {name: oak-1b}, ", "new host of 'oak-1': there is a 'oak-1b' already, and redrill has not made it"),
    ],
)
def test_a_move_to_nowhere_or_onto_somebody_else_is_refused(world: World, tmp_path: Path, said: str, why: str) -> None:
    world.change("role: app, relocate: {name: oak-1b}", f"{said}role: app")
    theirs = root_of(world.folder, NEW_HOST) / "run"
    theirs.mkdir(parents=True)
    (theirs / "boot-id").write_text("theirs\n")
    drilled = run_redrill(
        world.fleet.source, tmp_path / "reports", "--redrill-mode=relocate", "--redrill-endpoint=oak-1"
    )
    assert drilled.status == Exit.GUARD
    assert why in " ".join(drilled.output.split())
    assert (theirs / "boot-id").read_text() == "theirs\n"
    world.require_as_it_was()
