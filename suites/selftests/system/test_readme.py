"""What the README tells a newcomer to type is typed here, in its order, and must end with 0."""

import os
import re
import subprocess
import sys
from pathlib import Path

from redrill.loader import load_fleet

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SELF = {"make test"}
"""Not run by the self-tests, for it is what runs them."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_its_commands_work_in_their_order(tmp_path: Path) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line not in SELF]
    script = "\n".join(["set -eu", *(f"echo '+ {line}'\n{line}" for line in lines)])
    script = script.replace("redrill.schema.json", str(tmp_path / "redrill.schema.json"))
    script = script.replace(". .venv/bin/activate", f'PATH="{Path(sys.executable).parent}:$PATH"')
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert done.stdout.count("APPROVE (exit 0)") == 4, done.stdout[-4000:]
    assert (ROOT / "reports/latest/verdict.json").exists()


def test_its_fleet_file_is_one(tmp_path: Path) -> None:
    (sample,) = (block for block in blocks("yaml") if block.startswith("# yaml-language-server"))
    file = tmp_path / "fleet.yml"
    file.write_text(sample)
    assert [endpoint.name for endpoint in load_fleet(file).endpoints] == ["web-1", "logs-1"]


def test_every_file_it_points_to_is_there() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert [target for target in targets if not target.startswith("http") and not (ROOT / target).exists()] == []
