"""How findings are told: short in a failure, whole in a table and in a file of the run."""

import csv
import io
import json
import stat

from redrill.analysis.weighing import weigh
from redrill.model.finding import Severity
from redrill.model.weighed import State
from redrill.reporting.findings import COLUMNS, MOST_ROWS, findings_csv, gather_findings, keep_findings
from redrill_suites.messages import tell_findings
from selftests.finding_samples import TODAY, find, rule, waive, waivers_of


def weighed(*findings, rules=(), **waivers):
    return weigh(findings, rules, waivers_of(**waivers), TODAY)


def tell(*findings, **more):
    return tell_findings("web-1", "state is lost", weighed(*findings, **more), "mend it.").splitlines()


def test_a_failure_names_endpoint_problem_group_first_finding_and_advice():
    assert tell(find(group="/opt"), find("/opt/b", group="/opt")) == [
        "Endpoint 'web-1': state is lost (2):",
        "  major: leak (2 in /opt): it is lost",
        f"    /opt/b: a file [{find('/opt/b').id}]",
        "What to do: mend it.",
    ]


def test_the_gravest_and_then_the_largest_group_comes_first():
    many = [find(f"/opt/{n}", group="/opt") for n in range(3)]
    lines = tell(find("/a", group="/a"), *many, find("/z", group="/z", severity=Severity.CRITICAL))
    assert [line.split("(")[1].split(")")[0] for line in lines[1:7:2]] == ["1 in /z", "3 in /opt", "1 in /a"]


def test_a_failure_stays_short_and_counts_what_it_leaves_out():
    lines = tell(*(find(f"/opt/{n}/x", group=f"/opt/{n}") for n in range(500)))
    assert len(lines) <= 20
    assert "  … and 493 more of 493 other kinds; the attached table has all" in lines


def test_an_expired_waiver_and_what_is_not_counted_are_told():
    lines = tell(
        *(find(), find("/opt/b"), find("/opt/c"), find("/opt/d", severity=Severity.NOTE)),
        rules=[rule(subject="/opt/b")],
        old=waive(expires=TODAY.replace(day=1)),
        good=waive(finding=find("/opt/c").id),
    )
    assert lines[0] == "Endpoint 'web-1': state is lost (1, 1 of them no longer waived):"
    assert lines[1] == "  counts again: waiver 'old' of ana, OPS-1, expired on 2026-11-01: next image"
    assert "Not counted: 1 waived, 1 note, 1 ignored." in lines


def test_the_table_has_a_row_for_each_finding():
    rows = list(csv.reader(io.StringIO(findings_csv(weighed(find(facts={"size": "3, bytes"}), a=waive())))))
    assert rows[0] == list(COLUMNS)
    row = dict(zip(*rows, strict=True))
    assert row == {
        "finding": "/opt/leak: leak: a file",
        "severity": "major: it is lost",
        "facts": "size: 3, bytes",
        "state": "waived: waiver 'a' of ana, OPS-1, until 2026-12-31: next image",
        "id": find().id,
    }


def test_no_cell_of_the_table_is_a_formula():
    _, row = csv.reader(io.StringIO(findings_csv(weighed(find("=cmd|'/c calc'!A0", facts={})))))
    assert row[0] == "'=cmd|'/c calc'!A0: leak: a file"


def test_a_table_that_no_browser_can_bear_is_cut():
    text = findings_csv(weighed(*(find(f"/opt/{n}") for n in range(MOST_ROWS + 3))))
    assert text.splitlines()[-1] == '"… and 3 more, all of them in findings.jsonl"'
    assert len(text.splitlines()) == MOST_ROWS + 2


def test_findings_are_gathered_into_one_private_file(tmp_path):
    keep_findings(tmp_path, "web-1", "leaks", weighed(find()))
    keep_findings(tmp_path, "web-1", "system files", [])
    found, judged = gather_findings(tmp_path)
    assert [one.finding.id for one in found] == [find().id]
    assert set(judged) == {("web-1", "leaks"), ("web-1", "system files")}
    (line,) = (tmp_path / "findings.jsonl").read_text().splitlines()
    assert (json.loads(line)["id"], json.loads(line)["state"]) == (find().id, State.OPEN)
    assert stat.S_IMODE((tmp_path / "findings.jsonl").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["findings.jsonl"]


def test_a_judgement_that_is_tried_again_replaces_its_findings(tmp_path):
    keep_findings(tmp_path, "web-1", "leaks", weighed(find(), find("/opt/b")))
    keep_findings(tmp_path, "web-1", "leaks", weighed(find("/opt/c")))
    found, _ = gather_findings(tmp_path)
    assert [one.finding.subject for one in found] == ["/opt/c"]


def test_what_a_process_could_not_finish_is_left_out(tmp_path):
    keep_findings(tmp_path, "web-1", "leaks", weighed(find()))
    (part,) = (tmp_path / "findings").iterdir()
    part.write_text(f"{part.read_text()}{part.read_text()[:40]}")
    assert len(gather_findings(tmp_path)[0]) == 1


def test_no_secret_is_kept_with_a_finding(tmp_path):
    keep_findings(tmp_path, "web-1", "etc", weighed(find(detail="password: hunter2hunter2")))
    gather_findings(tmp_path)
    assert "hunter2" not in (tmp_path / "findings.jsonl").read_text()
