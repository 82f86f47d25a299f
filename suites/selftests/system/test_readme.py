"""What the README tells a newcomer to type is typed here, in its order, and must end with 0."""

import re
import subprocess
import sys
from pathlib import Path

from redrill.backends import settings_of
from redrill.loader import load_fleet, load_waivers
from redrill.model.fleet_file import parse_fleet
from redrill.model.waivers_file import parse_waivers
from selftests.support.drills import plain_environment

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
        env=plain_environment(),
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


def test_its_rules_and_waivers_are_some() -> None:
    (waivers,) = (block for block in blocks("yaml") if block.startswith("max_extensions"))
    (rules,) = (block for block in blocks("yaml") if block.startswith("defaults:\n  ignore"))
    assert list(parse_waivers(waivers.encode(), Path("README.md")).waivers) == ["the-report-tool-in-opt"]
    fleet = parse_fleet(f"fleet: shop\n{rules}endpoints: {{web-1: {{}}}}\n".encode(), Path("README.md"), settings_of)
    assert len(fleet.endpoint("web-1").ignore) == 2


def test_the_sample_fleet_has_waivers_that_are_some() -> None:
    waivers = load_fleet(ROOT / "fixtures/fleets/shop-staging.yml").waivers
    assert waivers
    assert len(load_waivers(waivers).waivers) == 2
