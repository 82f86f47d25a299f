"""Files that a backup took for one although they were several."""

from dataclasses import replace

import pytest

from redrill.drill.likeness import require_true_links
from redrill.errors import BackupError
from redrill.model.manifest import Manifest
from selftests.observed_samples import file_entry

A, B = "/var/lib/a", "/var/lib/b"


def separate(*paths: str) -> Manifest:
    return Manifest({path: file_entry(path) for path in paths})


def linked(*paths: str) -> Manifest:
    return Manifest({path: replace(file_entry(path), link_group=paths[0]) for path in paths})


def test_files_that_were_two_and_are_one_in_the_backup_are_refused() -> None:
    with pytest.raises(BackupError, match=f"holds as one file what were several just before: {A}, {B}"):
        require_true_links("web-1", separate(A, B), linked(A, B))


def test_links_that_were_there_before_and_a_new_name_of_a_file_are_no_matter() -> None:
    require_true_links("web-1", linked(A, B), linked(A, B))
    require_true_links("web-1", separate(A), linked(A, B))
