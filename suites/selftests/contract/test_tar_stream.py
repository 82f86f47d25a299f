"""Archives as they go by: what is sound is read exactly, what could do harm or is damaged is refused."""

import io
import tarfile
from collections.abc import Callable

import pytest

from redrill.errors import BackupError
from redrill.model.deadline import Deadline
from redrill.model.manifest import Manifest, compare
from redrill.repositories.tar_stream import read_archive


def member(name: str, kind: bytes = tarfile.REGTYPE, **values: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in values.items():
        setattr(info, key, value)
    return info


def archive(*members: tarfile.TarInfo, tops: tuple[str, ...] = ("home", "etc", "var")) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as file:
        for info in (*(member(top, tarfile.DIRTYPE, mode=0o755) for top in tops), *members):
            file.addfile(info, io.BytesIO(bytes(info.size)))
    return buffer.getvalue()


def read(data: bytes) -> Manifest:
    return read_archive(iter([data[start : start + 1000] for start in range(0, len(data), 1000)]), Deadline.after(60))


def test_a_plain_archive_is_read_whatever_the_size_of_the_chunks_is():
    found = read(archive(member("etc/a", size=1500), member("etc/b", tarfile.LNKTYPE, linkname="etc/a")))
    assert found.entries["/etc/b"].link_group == "/etc/a"
    assert found.entries["/etc/b"].sha256 == found.entries["/etc/a"].sha256


HOSTILE: dict[str, Callable[[], bytes]] = {
    "absolute": lambda: archive(member("/etc/x")),
    "double slash": lambda: archive(member("etc//x")),
    "up": lambda: archive(member("etc/../../x")),
    "dot": lambda: archive(member("./etc/x")),
    "outside": lambda: archive(member("usr", tarfile.DIRTYPE), member("usr/x")),
    "a top that only begins alike": lambda: archive(member("etcetera")),
    "pax path up": lambda: archive(member("etc/x", pax_headers={"path": "etc/../../x"})),
    "pax path with NUL": lambda: archive(member("etc/x", pax_headers={"path": "etc/x\0y"})),
    "long name up": lambda: archive(member("etc/" + "../" * 60 + "x")),
    "twice": lambda: archive(member("etc/x"), member("etc/x")),
    "file, then directory": lambda: archive(member("etc/x"), member("etc/x", tarfile.DIRTYPE)),
    "below a link": lambda: archive(member("etc/x", tarfile.SYMTYPE, linkname="/"), member("etc/x/y")),
    "below nothing": lambda: archive(member("etc/x/y")),
    "hard link to outside": lambda: archive(member("etc/x", tarfile.LNKTYPE, linkname="/etc/shadow")),
    "hard link up": lambda: archive(member("etc/x", tarfile.LNKTYPE, linkname="etc/../../shadow")),
    "hard link to nothing": lambda: archive(member("etc/x", tarfile.LNKTYPE, linkname="etc/y")),
    "hard link to a directory": lambda: archive(member("etc/x", tarfile.LNKTYPE, linkname="var")),
    "unknown type": lambda: archive(member("etc/x", b"Z")),
    "contiguous": lambda: archive(member("etc/x", tarfile.CONTTYPE)),
    "unknown keyword": lambda: archive(member("etc/x", pax_headers={"LIBARCHIVE.xattr.a": "x"})),
    "ACL as text": lambda: archive(member("etc/x", pax_headers={"SCHILY.acl.access": "user::rwx"})),
    "negative owner": lambda: archive(member("etc/x", pax_headers={"uid": "-1"})),
    "time that is none": lambda: archive(member("etc/x", pax_headers={"mtime": "NaN"})),
    "link without a target": lambda: archive(member("etc/x", tarfile.SYMTYPE)),
    "a state path missing": lambda: archive(tops=("home", "etc")),
    "a state path that is a file": lambda: archive(member("home"), member("home/x"), tops=("etc", "var")),
    "empty": lambda: b"",
    "zeros": lambda: bytes(10240),
    "noise": lambda: bytes(range(1, 255)) * 50,
    "something after the end": lambda: archive() + b"x" * 512,
    "two archives": lambda: archive() + archive(),
    "cut at a member": lambda: archive(member("etc/x"))[: 3 * 512],
    "cut in the end marker": lambda: archive()[: 4 * 512],
    "size beyond the end": lambda: archive(member("etc/x", size=5))[: 3 * 512 + 512],
    "sparse size that lies": lambda: sparse_archive(b"1\n0\n4\n", 2),
    "sparse map out of order": lambda: sparse_archive(b"2\n8\n1\n0\n1\n", 9),
    "sparse map that does not end": lambda: sparse_archive(b"9" * 512, 9),
    "sparse map with a word": lambda: sparse_archive(b"1\nx\n4\n", 9),
}


def sparse_archive(entries: bytes, real_size: int) -> bytes:
    headers = {"major": "1", "minor": "0", "name": "etc/x", "realsize": str(real_size)}
    info = member("etc/sparse", pax_headers={f"GNU.sparse.{key}": value for key, value in headers.items()})
    info.size = 516
    data = archive(info)
    start = len(data) - data[::-1].index(b"ratsu") - 257 - 5 + 512  # right after the last header
    return data[:start] + entries.ljust(512, b"\0") + data[start + 512 :]


@pytest.mark.parametrize("name", HOSTILE)
def test_an_archive_that_cannot_be_restored_safely_is_refused(name):
    with pytest.raises(BackupError):
        read(HOSTILE[name]())


def test_a_sound_sparse_archive_is_read():
    assert read(sparse_archive(b"1\n3\n4\n", 9)).entries["/etc/x"].size == 9


@pytest.mark.parametrize("position", [0, 100, 124, 148, 156, 257, 500])
def test_a_flipped_bit_in_a_header_is_refused(position):
    data = bytearray(archive(member("etc/x", size=100)))
    data[3 * 512 + position] ^= 1
    with pytest.raises(BackupError):
        read(bytes(data))


@pytest.mark.parametrize("position", [0, 99])
def test_a_flipped_bit_in_a_content_changes_the_manifest(position):
    data = bytearray(archive(member("etc/x", size=100)))
    before = read(bytes(data))
    data[4 * 512 + position] ^= 1
    assert [str(difference).partition(" is ")[0] for difference in compare(before, read(bytes(data)))] == [
        "/etc/x: sha256"
    ]


def test_the_deadline_holds_inside_a_hole():
    with pytest.raises(BackupError, match=r"within 0\.1 s"):
        read_archive(iter([sparse_archive(b"1\n0\n4\n", 2**43)]), Deadline.after(0.1))
