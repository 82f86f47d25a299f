import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from redrill.errors import FleetError, ProvisionError
from redrill.provisioners import images
from selftests.support.labs import LAB_FLEET

DEFINITION = LAB_FLEET.parents[1] / "images/debian-12-lab"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REDRILL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def definition(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEFINITION, tmp_path / "definition"))


def test_the_key_changes_with_a_file_of_the_definition(definition: Path) -> None:
    before = images.key_of(definition)
    assert before == images.key_of(DEFINITION)
    (definition / "files/etc/motd").write_text("hello")
    assert images.key_of(definition) != before


def test_the_key_changes_with_the_permission_to_execute(definition: Path) -> None:
    before = images.key_of(definition)
    (definition / "customize.sh").chmod(0o644)
    assert images.key_of(definition) != before


def test_a_folder_without_a_definition_is_a_mistake_in_the_fleet(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"image\.yml: an image definition cannot be read"):
        images.ensure(tmp_path)


def test_an_unknown_key_of_a_definition_is_named(definition: Path) -> None:
    (definition / "image.yml").write_text("name: x\nversion: '1'\npackage: [vim]\n")
    with pytest.raises(FleetError, match="package"):
        images.ensure(definition)


def test_a_build_that_fails_says_why_and_leaves_no_image(definition: Path, cache: Path) -> None:
    (definition / "image.yml").write_text("name: x\nversion: '1'\nsuite: no-such-suite\n")
    with pytest.raises(ProvisionError, match="The image 'x' could not be built"):
        images.ensure(definition)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_a_build_that_is_killed_leaves_no_process_and_no_image(cache: Path) -> None:
    program = (
        "import sys, pathlib; from redrill.provisioners.images import ensure;"
        "ensure(pathlib.Path(sys.argv[1]), lambda line: print(line, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program, DEFINITION], stdout=subprocess.PIPE, text=True) as process:
        assert any("downloading packages" in line for line in process.stdout or ())
        process.kill()
    assert images.find(DEFINITION) is None
    images.sweep()
    assert [path.suffix for path in cache.iterdir()] == [".lock"]
    words = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert [line for line in words if b"mmdebstrap" in line and bytes(cache) in line] == []
