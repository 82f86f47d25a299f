"""The wheel of this checkout, and virtual environments that know nothing of the checkout."""

import os
import subprocess
import sys
import venv
from pathlib import Path

from selftests.support.drills import Drilled, read_run

ROOT = Path(__file__).parents[3]
_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


def build_wheel(folder: Path) -> Path:
    """Build the wheel with the tools of the environment that runs the tests, and return it."""
    command = [*_PIP, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", str(ROOT)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install_elsewhere(wheel: Path, folder: Path) -> Path:
    """Install a wheel with what it depends on into an empty environment below ``folder``; return its interpreter."""
    environment = folder / "venv"
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin/python"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", f"--python={python}", "install"]
    subprocess.run([*command, str(wheel)], check=True, stdin=subprocess.DEVNULL)
    return python


def run_elsewhere(python: Path, folder: Path, *arguments: str) -> Drilled:
    """Run the shipped suites over the 'fleet.yml' in ``folder``, as a user would; return the run."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
    done = subprocess.run(
        [python, "-m", "pytest", "--pyargs", "redrill_suites", "--redrill-fleet", "fleet.yml", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return read_run(folder / "reports", done.returncode, done.stdout + done.stderr)
