"""An endpoint of an older image, judged against the one that is wanted: which of its /etc hides what is new."""

import json
import shutil
from pathlib import Path

import pytest

from redrill.lab.trees import bring_up_tree, trees_of
from redrill.loader import load_fleet
from selftests.support.drills import Drilled, run_redrill
from selftests.support.trees import TREE_FLEET, root_of

TEST = "test_etc_holds_no_stale_copies[oak-1]"
UNIT = "usr/lib/systemd/system/shop.service"
OLD = {
    "etc/app/stale.conf": "ciphers=all\n",
    "etc/app/both.conf": "port=80\nname=shop\n",
    "etc/app/edited.conf": "workers=1\n",
    "etc/app/dropped.conf": "legacy=1\n",
    "etc/app/api-token": "old\n",
    UNIT: "[Service]\nExecStart=/usr/bin/shop\n",
}
NEW = {
    "etc/app/stale.conf": "ciphers=strong\n",
    "etc/app/both.conf": "port=443\nname=shop\n",
    "etc/app/brought.conf": "audit=1\n",
    "etc/app/api-token": "new\n",
    UNIT: "[Service]\nExecStart=/usr/bin/shop\nNoNewPrivileges=yes\n",
}
HERE = {
    "etc/app/both.conf": "port=8080\nname=shop\n",
    "etc/app/edited.conf": "workers=4\n",
    "etc/app/api-token": "mine\n",
    "etc/systemd/system/shop.service": OLD[UNIT],
}
STALE = {
    "/etc/app/stale.conf": ("masked default", "major"),
    "/etc/app/brought.conf": ("masked default", "major"),
    "/etc/app/both.conf": ("conflict", "major"),
    "/etc/app/api-token": ("conflict", "major"),
    "/etc/app/dropped.conf": ("orphan", "minor"),
    "/etc/app/edited.conf": ("local edit", "note"),
    "/etc/app/app.conf": ("local edit", "note"),  # by the first day of the endpoint
    "/etc/systemd/system/shop.service": ("masked default", "major"),
}


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """One endpoint of an old image, edited since, and an image folder that has moved on."""
    image = tmp_path / "image"
    shutil.copytree(TREE_FLEET.parents[1] / "images/tree", image, symlinks=True)
    write(image, OLD)
    text = TREE_FLEET.read_text().replace("../../.lab/tree", str(tmp_path / "lab"))
    text = text.replace("../images/tree", str(image)).replace("../images", str(TREE_FLEET.parents[1] / "images"))
    file = tmp_path / "tree.yml"
    file.write_text(f"{text}\nlocks: {{kind: flock, folder: {tmp_path / 'locks'}}}\n")
    loaded = load_fleet(file)
    for endpoint in trees_of(loaded):
        if endpoint.name == "oak-1":
            bring_up_tree(loaded, endpoint, lambda _line: None)
    write(root_of(tmp_path, "oak-1"), HERE)
    (image / "etc/app/dropped.conf").unlink()
    write(image, NEW)
    return file


def run(fleet: Path, *arguments: str) -> Drilled:
    return run_redrill(fleet, fleet.parent / "reports", "--redrill-endpoint=oak-1", "-k", "stale_copies", *arguments)


def findings(drilled: Drilled) -> dict[str, tuple[str, str]]:
    assert drilled.folder is not None
    told = [json.loads(line)["finding"] for line in (drilled.folder / "findings.jsonl").read_text().splitlines()]
    return {each["subject"]: (each["kind"], each["severity"]) for each in told if each["promise"] == "etc"}


def attached(drilled: Drilled) -> str:
    assert drilled.folder is not None
    results = [json.loads(file.read_text()) for file in (drilled.folder / "allure-results").glob("*-result.json")]
    (source,) = (
        each["source"]
        for result in results
        for each in result.get("attachments", ())
        if each["name"] == "how /etc differs from the defaults"
    )
    return (drilled.folder / "allure-results" / source).read_text()


def test_stale_copies_are_found_before_anything_is_redeployed(fleet: Path) -> None:
    observed = run(fleet)
    assert (observed.red, findings(observed)) == ({TEST}, STALE), observed.output[-4000:]


def test_differences_are_attached_and_secrets_are_not(fleet: Path) -> None:
    shown = attached(run(fleet))
    for line in ("-ciphers=strong", "+ciphers=all", "-port=443", "+port=8080", "-NoNewPrivileges=yes", "+workers=4"):
        assert line in shown.splitlines()
    assert "/etc/app/api-token: conflict; it may hold secrets, so only its hash was compared" in shown
    assert "mine" not in shown


def test_stale_copies_are_found_after_the_drill_that_brought_them_back(fleet: Path) -> None:
    drilled = run(fleet, "--redrill-mode=replace")
    assert (drilled.red, findings(drilled)) == ({TEST}, STALE), drilled.output[-4000:]


def test_an_endpoint_that_was_redeployed_once_runs_the_new_image(fleet: Path) -> None:
    """From then on the new defaults are the old ones: what hides them is told by the drill that brought it back."""
    run(fleet, "--redrill-mode=replace")
    observed = run(fleet)
    assert observed.red == set(), observed.output[-4000:]
    assert findings(observed)["/etc/app/stale.conf"] == ("local edit", "note")
