"""A repository that keeps good backups, which something spoils before they are verified."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import zstandard

from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.repositories.protocol import Snapshot
from redrill.repositories.tar import Settings as TarSettings
from redrill.repositories.tar import TarRepository


class Settings(TarSettings):
    """What happens to the backup."""

    damage: str


def _flip(path: Path, part: float) -> None:
    data = bytearray(path.read_bytes())
    data[int((len(data) - 1) * part)] ^= 4
    path.write_bytes(data)


def _cut(path: Path, part: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])


def _unpack_change_pack(path: Path, change: Callable[[bytes], bytes]) -> None:
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    path.write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(change(plain)))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda folder: (folder / "archive.tar.zst").write_bytes(b""),
    "zeros": lambda folder: (folder / "archive.tar.zst").write_bytes(bytes(10_000)),
    "cut": lambda folder: _cut(folder / "archive.tar.zst", 0.5),
    "cut-at-end": lambda folder: _cut(folder / "archive.tar.zst", 0.999),
    "flipped-early": lambda folder: _flip(folder / "archive.tar.zst", 0.1),
    "flipped-late": lambda folder: _flip(folder / "archive.tar.zst", 0.97),
    "content": lambda folder: _unpack_change_pack(
        folder / "archive.tar.zst", lambda plain: plain.replace(b"root:x:0:0", b"evil:x:0:0")
    ),
    "appended": lambda folder: (folder / "archive.tar.zst").open("ab").write(b"more"),
    "gone": lambda folder: (folder / "archive.tar.zst").unlink(),
    "manifest-changed": lambda folder: _flip(folder / "manifest.jsonl", 0.5),
    "manifest-gone": lambda folder: (folder / "manifest.jsonl").unlink(),
    "marker-gone": lambda folder: (folder / "snapshot.json").unlink(),
    "all-gone": shutil.rmtree,
    "second-copy-gone": lambda folder: shutil.rmtree(_second(folder)),
    "second-copy-flipped": lambda folder: _flip(_second(folder) / "archive.tar.zst", 0.5),
    "key-gone": lambda folder: (folder.parents[2] / "key.txt").unlink(),
    "key-emptied": lambda folder: (folder.parents[2] / "key-2.txt").write_text(""),
    "none": lambda _folder: None,
}


def _second(folder: Path) -> Path:
    return folder.parents[2] / "second" / folder.parent.name / folder.name


class DamagingRepository(TarRepository):
    """Spoils each backup right after it was made."""

    Settings = Settings

    def __init__(self, fleet: Fleet, endpoint: Endpoint) -> None:
        backend = endpoint.repository
        if backend is None:
            raise ValueError("it needs its settings")
        settings = dict(backend.settings)
        self._damage = DAMAGES[settings.pop("damage")]
        plain = type(backend).model_validate({"kind": "tar", **settings})
        super().__init__(fleet, endpoint.model_copy(update={"repository": plain}))

    def create(self, machine: Machine, run: str, deadline: Deadline) -> Snapshot:
        snapshot = super().create(machine, run, deadline)
        with suppress(FileNotFoundError):
            self._damage(self._folders[0] / snapshot.id)
        return snapshot


def install(folder: Path) -> None:
    """Make the backend known to every Python that has ``folder`` on its path, as an installed package would."""
    info = folder / "damaging_backend-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: damaging-backend\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[redrill.repositories]\ndamaging = {__name__}:DamagingRepository\n")
