"""What the tests of the fleet file share: settings of made-up backends, and short ways to parse."""

from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from redrill.drill.locks.flock import FlockLocks
from redrill.drill.locks.postgresql import PostgresqlLocks
from redrill.errors import FleetError
from redrill.ledger.postgresql import PostgresqlLedger
from redrill.ledger.sqlite import SqliteLedger
from redrill.model.fleet import Fleet
from redrill.model.fleet_file import parse_fleet
from redrill.model.values import Value
from redrill.repositories.borg import BorgRepository
from redrill.repositories.command import CommandRepository
from redrill.repositories.restic import ResticRepository
from redrill.repositories.rsync import RsyncRepository

SOURCE = Path("/fleets/shop/fleet.yml")


class NspawnSettings(Value):
    lab: str | None = None


class TreeSettings(Value):
    directory: Path
    image: Path


class TarSettings(Value):
    directory: Path
    mirrors: tuple[Path, ...] = ()
    password: SecretStr | None = None


class JournalRemoteSettings(Value):
    endpoint: str
    directory: str = "/var/log/journal/remote"


class FileSettings(Value):
    path: Path


SETTINGS: dict[str, dict[str, type[BaseModel]]] = {
    "provisioners": {"nspawn": NspawnSettings, "tree": TreeSettings},
    "repositories": {
        "tar": TarSettings,
        "rsync": RsyncRepository.Settings,
        "restic": ResticRepository.Settings,
        "borg": BorgRepository.Settings,
        "command": CommandRepository.Settings,
    },
    "collectors": {"journal-remote": JournalRemoteSettings, "file": FileSettings},
    "locks": {"flock": FlockLocks.Settings, "postgresql": PostgresqlLocks.Settings},
    "ledgers": {"sqlite": SqliteLedger.Settings, "postgresql": PostgresqlLedger.Settings},
}


def settings_of(group: str, kind: str) -> type[BaseModel]:
    if kind not in SETTINGS[group]:
        raise FleetError(f"There is no backend '{kind}' in redrill.{group}; installed are: {sorted(SETTINGS[group])}.")
    return SETTINGS[group][kind]


def parse(text: str | bytes) -> Fleet:
    return parse_fleet(text if isinstance(text, bytes) else text.encode(), SOURCE, settings_of)


def mistakes_of(text: str | bytes) -> list[str]:
    """Return the mistakes without the name of the file."""
    with pytest.raises(FleetError) as caught:
        parse(text)
    return [mistake.removeprefix(f"{SOURCE}:") for mistake in caught.value.mistakes]
