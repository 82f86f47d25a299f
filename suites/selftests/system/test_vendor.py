"""The vendor's own packaging system as the oracle of endpoints without an image, beside the tools that admins use."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from redrill.loader import load_fleet
from redrill.model.deadline import Deadline
from selftests.support.drills import Drilled, run_redrill
from selftests.support.labs import connect, lab_fleet, provisioner_of, rebuild, standing
from selftests.support.planting import Fault
from selftests.support.unmanaged import unmanaged_fleet
from selftests.system.faults import rounds
from selftests.system.faults_of_vendor import OF_VENDOR

OURS = ("-k", "system_equals_the_vendor or etc_holds_no_stale_copies")

CONTENT = {
    "/usr/bin/zstd": "printf x >>/usr/bin/zstd",
    "/usr/share/perl5/Debconf/Db.pm": "rm /usr/share/perl5/Debconf/Db.pm",
    "/usr/lib/systemd/system/nginx.service": "sed -i s/Type=/type=/ /usr/lib/systemd/system/nginx.service",
}
RIGHTS = {
    "/usr/bin/find": "chmod u+s /usr/bin/find",
    "/usr/share/perl5/Debconf/Gettext.pm": "chmod o+w /usr/share/perl5/Debconf/Gettext.pm",
    "/usr/bin/sed": "chown www-data /usr/bin/sed",
}


@dataclass
class Adopted:
    """A lab of which the fleet file knows addresses and keys only."""

    folder: Path
    lab: Path
    rounds: dict[int, Drilled] = field(default_factory=dict)

    def observe(self, name: str, *arguments: str) -> Drilled:
        fleet = unmanaged_fleet(self.lab, self.folder / f"{name}.yml")
        return run_redrill(fleet, self.folder / name, *OURS, *arguments)

    def run(self, endpoint: str, script: str) -> str:
        machine = connect(load_fleet(self.lab), endpoint)
        try:
            return machine.run(script, Deadline.after(60)).checked().text
        finally:
            machine.close()

    def root(self, endpoint: str) -> Path:
        """Where the root file system of an endpoint can be seen on the controller."""
        return provisioner_of(load_fleet(self.lab), endpoint).place.merged

    def observed(self, fault: Fault) -> Drilled:
        """Return the observation in which the fault was planted, with those of the same round."""
        number, row = next((i, row) for i, row in enumerate(rounds(OF_VENDOR)) if fault in row)
        if number not in self.rounds:
            for each in row:
                self.run(each.endpoint, each.plant)
            self.rounds[number] = self.observe(f"round-{number}")
            self.heal(*(each.endpoint for each in row))
        return self.rounds[number]

    def heal(self, *endpoints: str) -> None:
        """Bring endpoints back to their Day 1."""
        rebuild(load_fleet(self.lab), *endpoints)


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adopted]:
    folder = tmp_path_factory.mktemp("vendor")
    made = Adopted(folder, lab_fleet(folder, "vend", "198.18.86"))
    fleet = load_fleet(made.lab)
    with standing(fleet):
        yield made


def findings(run: Drilled, endpoint: str) -> dict[str, set[str]]:
    """Return what the vendor promise found at an endpoint above a note: kinds by path."""
    assert run.folder is not None
    found: dict[str, set[str]] = {}
    for line in (run.folder / "findings.jsonl").read_text().splitlines():
        finding = json.loads(line)["finding"]
        if (finding["promise"], finding["endpoint"]) == ("vendor", endpoint) and finding["severity"] != "note":
            found.setdefault(finding["subject"], set()).add(finding["kind"])
    return found


def test_stock_endpoints_are_what_their_vendor_made(adopted: Adopted) -> None:
    run = adopted.observe("stock")
    assert (run.red, run.status) == (set(), 0), run.output[-4000:]
    assert {record["after"]["vendor_states"]["dpkg"] for record in run.records.values()} == {"contents too"}


@pytest.mark.parametrize("fault", OF_VENDOR, ids=lambda fault: fault.name)
def test_planted_fault_turns_exactly_its_test_red(adopted: Adopted, fault: Fault) -> None:
    run = adopted.observed(fault)
    red = {test for test in run.red if test.endswith(f"[{fault.endpoint}]")}
    assert red == fault.red, f"{fault.name}: {run.folder}\n{run.output[-4000:]}"


def test_tools_of_admins_agree_on_contents_and_miss_the_rights(adopted: Adopted) -> None:
    root, aide = adopted.root("web-1"), Aide(adopted.folder / "aide", adopted.root("web-1"))
    aide.remember()
    adopted.run("web-1", " && ".join([*CONTENT.values(), *RIGHTS.values()]))
    ours = findings(adopted.observe("planted", "--redrill-endpoint=web-1"), "web-1")
    dpkg = _paths_of_dpkg(adopted.run("web-1", "dpkg --verify; true"))
    debsums = _paths_of_debsums(root)
    changed, other_rights = aide.compare()
    adopted.heal("web-1")
    assert set(CONTENT) <= set(ours)
    assert dpkg == debsums == changed == set(CONTENT)
    assert {path: ours[path] for path in RIGHTS} == {
        "/usr/bin/find": {"mode changed"},
        "/usr/share/perl5/Debconf/Gettext.pm": {"mode changed"},
        "/usr/bin/sed": {"owner changed"},
    }
    assert other_rights == set(RIGHTS)
    assert set(ours) == {*CONTENT, *RIGHTS}


def _paths_of_dpkg(text: str) -> set[str]:
    """Return what 'dpkg --verify' complains about, without configuration and what builders of images change."""
    rows = [line.split(maxsplit=2) for line in text.splitlines()]
    paths = {row[-1] for row in rows if " c " not in " ".join(row) and "/etc/" not in row[-1]}
    return {_canonical(path) for path in paths if not _is_left_out(path)}


def _paths_of_debsums(root: Path) -> set[str]:
    command = ["debsums", f"--root={root}", "-s"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    words = [line.split() for line in done.stdout.splitlines() if line.startswith("debsums: ")]
    paths = {f"/{word.partition(str(root))[2].lstrip('/')}" for row in words for word in row if str(root) in word}
    return {_canonical(path) for path in paths if not _is_left_out(path)}


def _canonical(path: str) -> str:
    return f"/usr{path}" if path.startswith(("/bin/", "/sbin/", "/lib")) else path


def _is_left_out(path: str) -> bool:
    is_paper = path.startswith(("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/"))
    return is_paper or path == "/usr/lib/os-release"


@dataclass(frozen=True, slots=True)
class Aide:
    """AIDE over the /usr of an endpoint: contents and rights."""

    folder: Path
    root: Path

    def remember(self) -> None:
        """Write the database that later changes are compared with: the one thing that an oracle does not need."""
        self.folder.mkdir()
        (self.folder / "aide.conf").write_text(
            f"database_in=file:{self.folder}/db\ndatabase_out=file:{self.folder}/db\nroot_prefix={self.root}\n"
            "report_format=json\ngzip_dbout=no\nlog_level=error\nR = p+u+g+sha256\n/usr R\n"
        )
        subprocess.run(["aide", f"--config={self.folder}/aide.conf", "--init"], check=True, capture_output=True)

    def compare(self) -> tuple[set[str], set[str]]:
        """Return the paths with another content or none, and those with other rights."""
        command = ["aide", f"--config={self.folder}/aide.conf", "--check"]
        report = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
        gone, changed = report.get("removed", {}), report.get("changed", {})
        contents = {path for path, flags in changed.items() if "H" in flags} | set(gone)
        files = {path for path, flags in changed.items() if flags.startswith("f")}
        return contents, files - contents
