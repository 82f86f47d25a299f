"""A part of a backup, restored onto a fresh system: exactly what was chosen, and all else as the image has it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit, setrlimit

import pytest

from redrill.errors import RestoreError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.walker import walk
from redrill.model.manifest import EntryKind, Manifest, compare
from redrill.model.values import STATE_PATHS
from redrill.repositories.protocol import Snapshot
from redrill.repositories.restore import restore_part
from redrill.repositories.tar import TarRepository
from redrill.repositories.tar_filter import Extent
from selftests.support.hard_tree import build_hard_tree
from selftests.support.tar_backups import expect, make_repository, make_small_tree, soon

MOVES = "mtime_ns"


@pytest.fixture
def hard(tmp_path: Path) -> tuple[TarRepository, Snapshot, Manifest]:
    """A backup of hard cases; one of its files has a name in each of two places."""
    build_hard_tree(tmp_path / "source")
    (tmp_path / "source/etc/also-plain").hardlink_to(tmp_path / "source/home/user/plain")
    (tmp_path / "source/var/also-sparse").hardlink_to(tmp_path / "source/var/lib/sparse")
    repository = make_repository(tmp_path)
    snapshot = repository.create(LocalMachine("web-1", tmp_path / "source"), "run", soon())
    return repository, snapshot, repository.verify(snapshot, soon())


def extent_of(path: str, chosen: Sequence[str]) -> Extent:
    if any(path == each or path.startswith(f"{each}/") for each in chosen):
        return Extent.WHOLE
    return Extent.ENTRY if any(each.startswith(f"{path}/") for each in chosen) else Extent.NOTHING


@pytest.mark.parametrize(
    "chosen",
    [
        ("/home", "/etc", "/var"),
        ("/home/user/links",),
        ("/home/user/links/hard", "/home/user/links/hard-symlink"),
        ("/etc",),
        ("/etc/also-plain", "/home/user/a-hard-link-that-sorts-first"),
        ("/var/also-sparse",),
        ("/var/lib/deep", "/home/user/attributes", "/home/user/acl"),
        (),
    ],
    ids=",".join,
)
def test_what_is_chosen_is_exactly_as_in_the_backup_and_the_rest_as_in_the_image(
    chosen: tuple[str, ...], hard: tuple[TarRepository, Snapshot, Manifest], tmp_path: Path
) -> None:
    repository, snapshot, manifest = hard
    root = make_small_tree(tmp_path / "fresh")
    (root / "home/user/links").mkdir(parents=True)
    (root / "home/user/links/of-the-image").touch()
    fresh, source = walk(root, STATE_PATHS), expect(tmp_path / "source")
    machine = LocalMachine("fresh", root)
    restore_part(machine, repository, snapshot, soon(), manifest, part=lambda p: extent_of(p, chosen), stale=chosen)

    found = walk(root, STATE_PATHS)
    extents = {path: extent_of(path, chosen) for path in source.entries.keys() | fresh.entries.keys()}
    wanted = {path: entry for path, entry in fresh.entries.items() if extents[path] is Extent.NOTHING}
    wanted |= {path: entry for path, entry in source.entries.items() if extents[path] is not Extent.NOTHING}
    unlike = [d for d in compare(Manifest(wanted), found) if d.attribute not in (MOVES, "link_group")]
    assert [str(d) for d in unlike] == []
    exact = [d for d in compare(source, found) if extents.get(d.path) is Extent.WHOLE and d.attribute == MOVES]
    assert exact == []


def test_a_file_with_two_chosen_names_is_still_one_file(
    hard: tuple[TarRepository, Snapshot, Manifest], tmp_path: Path
) -> None:
    repository, snapshot, manifest = hard
    root, chosen = make_small_tree(tmp_path / "fresh"), ("/etc/also-plain", "/home/user/links/hard")
    machine = LocalMachine("fresh", root)
    restore_part(machine, repository, snapshot, soon(), manifest, part=lambda p: extent_of(p, chosen), stale=())
    assert (root / "etc/also-plain").samefile(root / "home/user/links/hard")


def test_files_with_very_many_other_names_do_not_use_up_the_open_files(tmp_path: Path) -> None:
    source, root = make_small_tree(tmp_path / "source"), make_small_tree(tmp_path / "fresh")
    for folder in ("home/a", "var/b"):
        (source / folder).mkdir()
    for number in range(100):
        (source / f"home/a/{number}").write_text(f"content {number}")
        (source / f"var/b/{number}").hardlink_to(source / f"home/a/{number}")
    repository = make_repository(tmp_path)
    snapshot = repository.create(LocalMachine("web-1", source), "run", soon())
    manifest, chosen, before = repository.verify(snapshot, soon()), ["/var/b"], getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (len([*Path("/proc/self/fd").iterdir()]) + 40, before[1]))
    try:
        machine = LocalMachine("fresh", root)
        restore_part(machine, repository, snapshot, soon(), manifest, part=lambda p: extent_of(p, chosen), stale=())
    finally:
        setrlimit(RLIMIT_NOFILE, before)
    assert [(root / f"var/b/{number}").read_text() for number in range(100)] == [f"content {n}" for n in range(100)]


def test_a_manifest_that_lists_another_kind_is_refused(
    hard: tuple[TarRepository, Snapshot, Manifest], tmp_path: Path
) -> None:
    repository, snapshot, manifest = hard
    path = "/etc/passwd"
    other = Manifest({**manifest.entries, path: replace(manifest.entries[path], kind=EntryKind.FIFO)})
    machine = LocalMachine("fresh", make_small_tree(tmp_path / "fresh"))
    with pytest.raises(RestoreError, match="another kind"):
        restore_part(machine, repository, snapshot, soon(), other, part=lambda p: extent_of(p, [path]), stale=())
