"""Endpoints that are directories: a link in them must not lead a drill to the system that redrill runs on."""

from pathlib import Path

import pytest

from redrill.errors import ProvisionError
from redrill.model.deadline import Deadline
from redrill.provisioners.tree import TreeProvisioner
from selftests.fleet_samples import parse

FLEET = """
fleet: links
endpoints:
  one:
    image: {{name: tiny, version: "1"}}
    provisioner: {{kind: tree, directory: {folder}/trees, image: {folder}/image}}
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image, and beside it a folder of somebody else that holds a file."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/kept").touch()
    for name in ("etc", "home", "var"):
        (tmp_path / "image" / name).mkdir(parents=True)
    return tmp_path / "image"


@pytest.fixture
def provisioner(tmp_path: Path, image: Path) -> TreeProvisioner:
    assert image.is_dir()
    fleet = parse(FLEET.format(folder=tmp_path))
    return TreeProvisioner(fleet, fleet.endpoint("one"))


@pytest.mark.parametrize("name", ["etc", "home", "var", "run"])
def test_an_image_with_a_link_to_another_system_replaces_nothing(
    tmp_path: Path, image: Path, provisioner: TreeProvisioner, name: str
) -> None:
    root = provisioner.redeploy(Deadline.after(10)).root
    assert root
    boot_id = (root / "run/boot-id").read_text()
    if name != "run":
        (image / name).rmdir()
    (image / name).symlink_to(tmp_path / "theirs")
    with pytest.raises(ProvisionError, match=f"'{image}/{name}' is a link to '{tmp_path}/theirs', out of"):
        provisioner.redeploy(Deadline.after(10))
    assert (root / "run/boot-id").read_text() == boot_id
    assert (tmp_path / "theirs/kept").exists()


def test_a_directory_whose_run_became_a_link_is_not_stopped_through_it(
    tmp_path: Path, provisioner: TreeProvisioner
) -> None:
    root = provisioner.redeploy(Deadline.after(10)).root
    assert root
    (root / "run").rename(root / "ran")
    (root / "run").symlink_to(tmp_path / "theirs")
    with pytest.raises(ProvisionError, match="is a link to"):
        provisioner.stop(Deadline.after(10))
    assert (tmp_path / "theirs/kept").exists()


def test_a_link_that_stays_inside_is_followed(image: Path, provisioner: TreeProvisioner) -> None:
    (image / "home").rmdir()
    (image / "var/home").mkdir()
    (image / "home").symlink_to("var/home")
    assert provisioner.redeploy(Deadline.after(10)).root
