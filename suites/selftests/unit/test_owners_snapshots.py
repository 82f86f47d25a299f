"""Which of an owner's snapshots is restored, what the plan says of it, and what a backup is known to lack."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from pydantic import ValidationError

from redrill.analysis.lacking import find_lacking
from redrill.drill.choose_backup import choose_snapshot, describe_backup
from redrill.drill.likeness import tell_excluded, tell_losses
from redrill.errors import BackupError
from redrill.model.choice import SnapshotChoice
from redrill.model.churn import churn_rules
from redrill.model.fleet import Backend, BackupPolicy, Endpoint, Fleet
from redrill.model.manifest import Entry, EntryKind, Manifest
from redrill.model.values import STATE_PATHS
from redrill.repositories.protocol import DRILL, Repository, Snapshot

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def snapshot(name: str, hours: float, *tags: str) -> Snapshot:
    created = NOW - timedelta(hours=hours)
    return Snapshot(id=name, endpoint="web-1", created=created, paths=STATE_PATHS, sha256="", tags=tags)


KNOWN = (
    snapshot("aa-old", 50, "nightly"),
    snapshot("ab-night", 10, "nightly"),
    snapshot("ba-noon", 3),
    snapshot("bb-drill", 1, DRILL, "redrill-R7"),
)


class Listing:
    """A repository that lists."""

    def __init__(self, *known: Snapshot) -> None:
        self._known = list(known)

    def snapshots(self) -> list[Snapshot]:
        return self._known


def choose(**choice: Any) -> str:
    repository = cast(Repository, Listing(*KNOWN))
    return choose_snapshot("web-1", repository, SnapshotChoice.model_validate(choice), NOW).id


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"latest": True}, "ba-noon"),
        ({"tag": "nightly"}, "ab-night"),
        ({"before": "12h"}, "aa-old"),
        ({"before": "2026-11-22T03:00:00+00:00"}, "ab-night"),
        ({"before": "2026-11-22T03:00:00+02:00"}, "aa-old"),
        ({"before": "12h", "tag": "nightly"}, "aa-old"),
        ({"id": "ab"}, "ab-night"),
        ({"id": "bb-drill"}, "bb-drill"),
        ({"tag": DRILL}, "bb-drill"),
    ],
)
def test_the_newest_that_fits_is_chosen_and_one_of_a_drill_only_when_it_is_meant(choice, expected):
    assert choose(**choice) == expected


def test_without_one_that_fits_the_newest_is_named():
    with pytest.raises(
        BackupError, match=r"no snapshot older than 3d \('backup.snapshot'\): the newest is 'bb-drill' of"
    ):
        choose(before="72h")
    with pytest.raises(BackupError, match=r"no snapshot with the tag 'weekly', with the id 'a'"):
        choose(tag="weekly", id="a")


def test_the_beginning_of_several_ids_is_refused():
    with pytest.raises(BackupError, match="'a' begins the id of several snapshots of 'web-1': 'aa-old', 'ab-night'"):
        choose(id="a")


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("newest", "'newest' is no snapshot; write 'drill'"),
        ({}, "nothing says which snapshot"),
        ({"latest": True, "before": "1h"}, "contradict each other"),
        ({"before": "yesterday"}, "is neither a time with its zone"),
        ({"before": "2026-11-22T03:00:00"}, "is neither a time with its zone"),
        ({"latest": False}, "Input should be True"),
    ],
)
def test_what_says_nothing_or_too_much_is_refused(choice, words):
    with pytest.raises(ValidationError, match=words):
        BackupPolicy.model_validate({"snapshot": choice})


def test_a_policy_survives_its_way_through_a_record():
    for choice in ("drill", {"before": "26h"}, {"before": "2026-11-22T03:00:00Z"}, {"latest": True, "tag": "nightly"}):
        policy = BackupPolicy.model_validate({"snapshot": choice})
        assert BackupPolicy.model_validate_json(policy.model_dump_json()) == policy


def test_the_plan_says_which_snapshot_would_be_restored_and_how_old_it_is(tmp_path):
    def describe(**backup: Any) -> str:
        endpoint = Endpoint(name="web-1", repository=repository, backup=BackupPolicy.model_validate(backup))
        return describe_backup(Fleet(name="shop", source=tmp_path / "fleet.yml", endpoints=(endpoint,)), endpoint, NOW)

    repository = Backend.model_validate({"kind": "rsync", "directory": str(tmp_path), "trees": "*/{endpoint}"})
    assert describe().startswith("made by this run in 'rsync'")
    assert "WARNING: the owner's snapshot in 'rsync' is not known: " in describe(snapshot={"latest": True})
    for path in STATE_PATHS:
        (tmp_path / "hourly.0/web-1" / path[1:]).mkdir(parents=True)
    assert describe(snapshot={"latest": True}).startswith("the owner's snapshot '")


def entry(path: str, **facts: Any) -> Entry:
    return Entry(**{"path": path, "kind": EntryKind.FILE, "mode": 0o644, "uid": 0, "gid": 0, "sha256": "1", **facts})


def manifest(*entries: Entry) -> Manifest:
    return Manifest({each.path: each for each in entries})


CAPABLE = (("security.capability", "01"), ("user.a", "02"))


@pytest.mark.parametrize(
    ("before", "backup", "lost"),
    [
        ({"xattrs": CAPABLE}, {}, ["xattrs"]),
        ({"xattrs": CAPABLE}, {"xattrs": CAPABLE[1:]}, ["xattrs"]),
        ({"xattrs": (("user.a", "03"),)}, {"xattrs": CAPABLE[1:]}, []),  # was set anew since then
        ({"flags": "ai"}, {"flags": "a"}, ["flags"]),
        ({"flags": "a"}, {"flags": "ai"}, []),
        ({"xattrs": CAPABLE, "sha256": "2"}, {}, []),  # was written to since then
        ({"xattrs": CAPABLE, "mtime_ns": 2}, {}, []),
        ({"uid": 7, "mode": 0o600}, {}, []),
    ],
)
def test_what_an_older_backup_lacks_is_told_from_what_has_changed_since(before, backup, lost):
    found = find_lacking(manifest(entry("/etc/a", **before)), manifest(entry("/etc/a", **backup)))
    assert [difference.attribute for difference in found] == lost


def test_a_hard_link_is_lost_only_when_the_backup_has_both_names():
    names = [entry(path, link_group="/etc/a") for path in ("/etc/a", "/etc/b")]
    apart = [replace(each, link_group=None) for each in names]
    assert [each.path for each in find_lacking(manifest(*names), manifest(*apart))] == ["/etc/a", "/etc/b"]
    assert find_lacking(manifest(*names), manifest(apart[0])) == []


def test_losses_are_counted_by_their_sort_and_a_lost_file_is_no_backup():
    source = manifest(entry("/etc/a", xattrs=CAPABLE), entry("/etc/b", xattrs=CAPABLE, mtime_ns=5))
    assert tell_losses(source, source) == ()
    times, attributes = tell_losses(source, manifest(entry("/etc/a", mtime_ns=0), entry("/etc/b")))[::-1]
    assert attributes.startswith("the backup does not keep extended attributes: 2 paths, such as /etc/a: xattrs")
    assert times == "the backup does not keep times: 1 paths, such as /etc/b: mtime_ns is 0, expected 5"
    with pytest.raises(BackupError, match=r"does not hold what was given to it \(1 differences\): /etc/b: missing"):
        tell_losses(source, manifest(entry("/etc/a")))


def test_files_that_are_older_than_a_snapshot_and_not_in_it_are_told():
    taken, churn = datetime(2026, 11, 22, tzinfo=UTC), churn_rules(())
    old, new = (int(taken.timestamp() + seconds) * 10**9 for seconds in (-60, 60))
    tops = [entry(path, kind=EntryKind.DIRECTORY) for path in ("/var", "/var/lib")]
    database = [entry(f"/var/lib/mysql/{name}", mtime_ns=old) for name in ("ibdata1", "db/table.ibd")]
    observed = manifest(*tops, *database, entry("/var/lib/later", mtime_ns=new))
    assert tell_excluded(observed, observed, taken, churn) == ()
    assert tell_excluded(manifest(*tops, *database), manifest(*tops, *database), taken, churn) == ()
    (warning,) = tell_excluded(observed, manifest(*tops), taken, churn)
    assert warning.startswith("the snapshot lacks 2 files that are older than it, most of them at '/var/lib/mysql': ")
