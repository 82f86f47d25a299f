"""Files that a backup took for one although they were several."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from redrill.drill.likeness import require_true_links
from redrill.errors import BackupError
from redrill.model.manifest import Entry, Manifest
from selftests.observed_samples import file_entry, manifest_of

A, B = "/var/lib/a", "/var/lib/b"


def bench_of(folder: Path, *observed: Entry) -> Any:
    """A drill that has observed these files."""
    before = SimpleNamespace(state_manifest=manifest_of(folder, "state.zst", *observed))
    return SimpleNamespace(
        endpoint=SimpleNamespace(name="web-1"), run_dir=folder, evidence=SimpleNamespace(before=before)
    )


def linked(*paths: str) -> Manifest:
    return Manifest({path: replace(file_entry(path), link_group=paths[0]) for path in paths})


def test_files_that_were_two_and_are_one_in_the_backup_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=f"holds as one file what were several just before: {A}, {B}"):
        require_true_links(bench_of(tmp_path, file_entry(A), file_entry(B)), linked(A, B))


def test_links_that_were_there_before_and_a_new_name_of_a_file_are_no_matter(tmp_path: Path) -> None:
    before = [replace(file_entry(path), link_group=A) for path in (A, B)]
    require_true_links(bench_of(tmp_path, *before), linked(A, B))
    require_true_links(bench_of(tmp_path, file_entry(A)), linked(A, B))
