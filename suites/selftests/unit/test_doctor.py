from pathlib import Path

import pytest

from redrill.lab import doctor
from redrill.provisioners import nspawn_container


def test_only_what_is_not_in_order_has_a_remedy() -> None:
    assert [finding.name for finding in doctor.diagnose() if finding.ok == bool(finding.remedy)] == []


def test_too_few_inotify_instances_are_found_with_the_command_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "limit").write_text("128\n")
    monkeypatch.setattr(doctor, "INOTIFY_INSTANCES", tmp_path / "limit")
    finding = next(finding for finding in doctor.diagnose() if finding.name == "inotify instances")
    assert not finding.ok
    assert finding.remedy == "sysctl -w fs.inotify.max_user_instances=8192"


def test_a_failed_boot_tells_of_a_low_inotify_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "limit").write_text("128\n")
    monkeypatch.setattr(nspawn_container, "INOTIFY_INSTANCES", tmp_path / "limit")
    assert "max_user_instances is 128, enough for about 18 endpoints" in nspawn_container.describe_limits()
    (tmp_path / "limit").write_text("8192\n")
    assert nspawn_container.describe_limits() == ""


def test_a_missing_tool_is_found_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = next(finding for finding in doctor.diagnose() if finding.name == "tool 'mmdebstrap'")
    assert finding == doctor.Finding("tool 'mmdebstrap'", False, "missing", "apt-get install --yes mmdebstrap")
