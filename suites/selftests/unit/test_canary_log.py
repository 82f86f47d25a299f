"""The file of acknowledged writes, as a controller that lost its power may leave it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from redrill.drill.canary_log import CanaryLog
from redrill.model.writes import Write

WRITES = [Write(number, datetime.fromtimestamp(1_700_000_000 + number, UTC)) for number in (1, 2)]


@pytest.mark.parametrize(
    "damage", [b"append /var\t3", b"\0\0\0\0", b"\0\0\n", b"append /var\t3\tsoon\n", b"\xff\xfe\t3\t4\n"]
)
def test_what_is_damaged_in_it_is_not_known_and_keeps_nobody_from_going_on(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "canaries.tsv"
    log = CanaryLog(file)
    log.add(["append /var"], WRITES[0])
    with file.open("ab") as stream:
        stream.write(damage if damage.endswith(b"\n") else b"")
    log.add(["append /var"], WRITES[1])
    with file.open("ab") as stream:
        stream.write(damage)
    assert CanaryLog(file).written("append /var") == WRITES
