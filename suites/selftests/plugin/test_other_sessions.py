"""A pytest session that is not about a fleet pays nothing for redrill being installed."""

import subprocess
import sys
from pathlib import Path

from redrill.model.values import Mode
from redrill.plugin.options import MODES

HEAVY = ("paramiko", "pydantic", "rich", "yaml", "zstandard", "redrill.model", "redrill.drill", "redrill.machine")
TEST = f"""
import sys

def test_unrelated(pytestconfig):
    assert pytestconfig.pluginmanager.has_plugin("redrill.plugin.hooks")
    assert pytestconfig.pluginmanager.has_plugin("redrill_fixtures.plugin")
    assert [name for name in {HEAVY} if name in sys.modules] == []
"""


def test_another_session_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-q", "test_other.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "reports").exists()


def test_the_option_offers_every_mode() -> None:
    assert tuple(Mode) == MODES
