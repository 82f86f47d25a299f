"""Manifests of swupd: read and hashed as recorded runs of the real client did."""

import os
import stat
from pathlib import Path

import pytest

from redrill.model.manifest import EntryKind
from redrill.probes.vendor.swupd_manifest import (
    MISSING,
    Line,
    hash_manifest,
    hash_path,
    merge_bundles,
    parse_manifest,
)
from selftests.support.recorded import recorded, recorded_file

ENDPOINT = recorded_file("swupd/files/endpoint")


def manifest(version: str, name: str) -> tuple[dict[str, str], list[Line]]:
    return parse_manifest(recorded_file(f"swupd/files/{version}/Manifest.{name}").read_text())


def line(path: str, **facts: object) -> Line:
    return Line(
        **{
            "name": path,
            "hash": "1" * 64,
            "version": "10",
            "kind": EntryKind.FILE,
            "is_deleted": False,
            "is_ghosted": False,
            "is_variant": False,
            **facts,
        }
    )


@pytest.mark.parametrize(("version", "bundle"), [("43760", "nginx"), ("43760", "os-core"), ("43770", "nginx")])
def test_release_names_the_hash_of_each_manifest(version: str, bundle: str) -> None:
    text = recorded_file(f"swupd/files/{version}/Manifest.{bundle}").read_bytes()
    releases = {each.name: each.hash for each in manifest(version, "MoM")[1]}
    assert hash_manifest(text) == releases[bundle]


@pytest.mark.parametrize("path", ["/usr/lib/os-release", "/usr/share/clear/version", "/usr/share/clear/versionstamp"])
def test_files_of_the_recorded_endpoint_are_what_its_manifest_says(tmp_path: Path, path: str) -> None:
    file = tmp_path / "file"
    file.write_bytes((ENDPOINT / path[1:]).read_bytes())
    file.chmod(0o644)
    os.chown(file, 0, 0)
    assert hash_path(file) == next(each.hash for each in manifest("43770", "os-core")[1] if each.name == path)


def test_a_directory_has_the_hash_that_swupd_printed(tmp_path: Path) -> None:
    folder = tmp_path / "share"
    folder.mkdir(mode=0o755)
    os.chown(folder, 0, 0)
    assert hash_path(folder) == recorded("swupd/hashdump-dir").stdout.strip()


def test_what_is_missing_has_the_hash_that_swupd_printed(tmp_path: Path) -> None:
    assert recorded("swupd/hashdump-missing").stdout.split()[-1] == MISSING == hash_path(tmp_path / "missing")


@pytest.mark.parametrize("change", ["content", "mode", "owner", "type"])
def test_each_change_of_a_file_changes_its_hash(tmp_path: Path, change: str) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    before = hash_path(file)
    if change == "content":
        file.write_text("texT")
    elif change == "mode":
        file.chmod(file.stat().st_mode | stat.S_ISUID)
    elif change == "owner":
        os.chown(file, 1, 1)
    else:
        file.rename(tmp_path / "other")
        file.symlink_to("other")
    assert hash_path(file) not in (before, MISSING)


def test_time_of_a_file_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    before = hash_path(file)
    os.utime(file, (1, 1))
    assert hash_path(file) == before


def test_flags_of_a_line_are_told_apart() -> None:
    lines = {each.name: each for each in manifest("43770", "nginx")[1]}
    assert lines["/usr/share/nginx/html/old.html"].is_deleted
    assert lines["/usr/share/nginx/html/old.html"].kind is None
    assert lines["/usr/bin/nginx"].kind is EntryKind.FILE
    assert lines["/usr"].kind is EntryKind.DIRECTORY
    assert not any(each.is_variant or each.is_ghosted for each in lines.values())


def test_header_of_a_manifest_is_read() -> None:
    header = manifest("43770", "nginx")[0]
    assert (header["format"], header["version"], header["includes"]) == ("42", "43770", "os-core")


@pytest.mark.parametrize("text", ["", "<html>not found</html>\n\n", "MANIFEST\t42\n\nF...\tshort"])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no "):
        parse_manifest(text)


def test_file_that_one_bundle_deletes_and_another_has_is_there() -> None:
    gone = line("/usr/bin/x", is_deleted=True, kind=None, hash=MISSING)
    for order in ([("a", [gone]), ("b", [line("/usr/bin/x")])], [("b", [line("/usr/bin/x")]), ("a", [gone])]):
        owner, lines = merge_bundles(order)["/usr/bin/x"]
        assert (owner, [each.is_deleted for each in lines]) == ("b", [False])


def test_variants_of_a_path_are_alternatives() -> None:
    lines = [line("/usr/lib/libz.so"), line("/usr/lib/libz.so", hash="2" * 64, is_variant=True)]
    assert [each.hash[0] for each in merge_bundles([("a", lines)])["/usr/lib/libz.so"][1]] == ["1", "2"]
