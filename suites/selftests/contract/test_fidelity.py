"""What backups lose, tried on this machine: every case is judged, nobody is flattered, and nothing stays."""

import json
from pathlib import Path

import pytest

from redrill.cli import main
from redrill.drill.fidelity import KEPT, REFUSED, Fidelity, try_fidelity
from redrill.errors import BackupError, Exit
from redrill.model.manifest import Manifest
from redrill.repositories.hard_cases import HARD_CASES, HardCase
from redrill.repositories.tar import TarRepository
from selftests.support.hard_tree import as_nobody, nobodys_folder

LOST_BY_TAR = {"hard links of FIFOs": "lost: links", "sockets": "lost"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Fidelity:
    place = tmp_path_factory.mktemp("fidelity")
    found = try_fidelity(("tar", "rsync", "restic", "borg"), place)
    assert list(place.iterdir()) == []
    return found


def lost_by(found: Fidelity, kind: str) -> dict[str, str]:
    return {case: outcomes[kind] for case, outcomes in found.outcomes.items() if outcomes[kind] != KEPT}


@pytest.mark.parametrize("kind", ["tar", "rsync"])
def test_archives_and_trees_keep_all_but_what_tar_cannot_hold(found, kind):
    assert lost_by(found, kind) == LOST_BY_TAR
    assert (found.not_made, found.not_tried) == ({}, {})
    assert list(found.outcomes) == [case.name for case in HARD_CASES]


def test_what_restic_and_borg_of_debian_12_lose_is_told(found):
    assert lost_by(found, "restic") == LOST_BY_TAR | {
        "attribute names that are no text": "altered: attributes",
        "attributes of symbolic links": "lost: attributes",
        "hard links of symbolic links": "lost: links",
        "holes of sparse files": "altered: holes",
        "odd targets of symbolic links": "altered: target",
        "flags of chattr: d, A, S": "lost: flags",
        "flags of chattr: immutable": "lost: flags",
    }
    assert lost_by(found, "borg") == LOST_BY_TAR | {
        "times before 1970, after 2106": "altered: time",
        "hard links of symbolic links": "lost: links",
        "holes of sparse files": "altered: holes",
        "flags of chattr: d, A, S": "altered: flags",
    }


def test_without_root_it_says_what_could_not_be_made():
    with nobodys_folder() as folder:
        found = as_nobody(lambda: try_fidelity(("tar",), folder))
        assert list(folder.iterdir()) == []
    assert "devices" in found.not_made
    assert "hard links" in found.outcomes
    assert lost_by(found, "tar") == LOST_BY_TAR | {"files that nobody may read": REFUSED}


def test_a_case_that_a_repository_refuses_is_found_among_the_others(tmp_path, monkeypatch):
    real = TarRepository.verify

    def refuse(self: TarRepository, *arguments: object) -> Manifest:
        manifest = real(self, *arguments)  # type: ignore[arg-type]
        if any(path.endswith("/bad") for path in manifest.entries):
            raise BackupError("It holds what it must not.")
        return manifest

    monkeypatch.setattr(TarRepository, "verify", refuse)
    names = ("one", "two", "bad", "four")
    cases = [HardCase(name, lambda folder, name=name: (folder / name).touch()) for name in names]
    found = try_fidelity(("tar",), tmp_path, cases)
    assert {name: outcome["tar"] for name, outcome in found.outcomes.items()} == {
        **dict.fromkeys(names, KEPT),
        "bad": REFUSED,
    }


def test_the_command_prints_one_row_a_case_and_what_is_not_there(tmp_path, capsys):
    assert main(["fidelity", "--repository", "tar", "--repository", "tape", "--folder", str(tmp_path)]) == Exit.APPROVE
    printed = capsys.readouterr()
    assert "sockets" in printed.out
    assert f"kept, of {len(HARD_CASES)}" in printed.out
    assert "Not tried: 'tape': A repository 'tape' cannot be made to try it; there are tar, rsync" in printed.err
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_json(tmp_path, capsys):
    assert main(["fidelity", "--repository", "tar", "--folder", str(tmp_path), "--json"]) == Exit.APPROVE
    assert json.loads(capsys.readouterr().out)["outcomes"]["sockets"] == {"tar": "lost"}


def test_nothing_to_try_is_no_success(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["fidelity", "--repository", "restic", "--folder", str(tmp_path)]) == Exit.BACKUP
    assert "'restic' cannot make a repository" in capsys.readouterr().err
    assert list(Path(tmp_path).iterdir()) == []
