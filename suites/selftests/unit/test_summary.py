import json
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from redrill.errors import RedrillError
from redrill.private import write_private
from redrill.reporting.run_folder import new_run_folder, point_latest, seal
from redrill.reporting.summary import REASONS_SHOWN, render_terminal, write_summary, write_verdict
from selftests.verdict_samples import judge, make_record, reach

NOON = datetime(2026, 11, 22, 13, 3, 1, tzinfo=timezone(timedelta(hours=1)))


def mode_of(path):
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def verdict():
    records = {"web-1": make_record("web-1", rto=4.25), "database-1": make_record("database-1", rto=31.5, lost=2)}
    judgements = [judge("web-1"), judge("database-1", "failed", message="'/etc/a|b' changed <b>now</b>")]
    return reach(judgements, records, names=("web-1", "database-1"))


def test_the_table_is_aligned_and_tells_every_figure(verdict, tmp_path):
    table = [line.text for line in render_terminal(verdict, tmp_path, 100)][:3]
    assert len({len(line) for line in table}) == 1
    assert " ".join(table[1].split()) == "web-1 APPROVE 10.0 s 4.2 s of 10m 0 s of 15m 1 0 0 0 0"
    assert " ".join(table[2].split()) == "database-1 REJECT 10.0 s 32 s of 10m 0.2 s of 15m 0 1 0 0 0"


def test_the_last_line_is_the_decision_in_its_colour(verdict, tmp_path):
    last = render_terminal(verdict, tmp_path, 100)[-1]
    figures = "2 endpoints, 2 tests, drilled in 10.0 s, worst RTO 32 s, worst RPO 0.2 s"
    assert last.text == f"REJECT (exit 1): {figures}"
    assert last.markup["red"]


def test_reasons_and_files_are_named(verdict, tmp_path):
    text = "\n".join(line.text for line in render_terminal(verdict, tmp_path, 200))
    assert "* 'database-1': 'test_nothing_leaks' failed: '/etc/a|b' changed <b>now</b>." in text
    assert str(tmp_path / "allure-report/index.html") in text


def test_a_narrow_terminal_wraps_reasons_but_no_path(tmp_path):
    path = "/var/lib/" + "x" * 60
    verdict = reach([judge(outcome="failed", message=f"the file '{path}' is missing from the restored tree")])
    lines = [line.text for line in render_terminal(verdict, tmp_path, 40)]
    assert any(path in line for line in lines)
    assert sum(line.startswith("    ") for line in lines) >= 2


def test_many_reasons_are_cut_and_counted(tmp_path):
    verdict = reach([judge(outcome="failed", test=f"m::test_{n:02}", message="m") for n in range(REASONS_SHOWN + 5)])
    lines = [line.text for line in render_terminal(verdict, tmp_path, 100)]
    assert sum(line.startswith("  * '") for line in lines) == REASONS_SHOWN
    assert "  * … and 5 more, all of them in verdict.json" in lines


def test_the_verdict_file_is_private_and_the_same_every_time(verdict, tmp_path):
    path = write_verdict(tmp_path, verdict)
    first = path.read_bytes()
    assert (json.loads(first)["decision"], json.loads(first)["exit_code"], mode_of(path)) == ("REJECT", 1, 0o600)
    assert write_verdict(tmp_path, verdict).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["verdict.json"]


def test_the_summary_is_markdown_that_no_path_can_break(verdict, tmp_path):
    text = write_summary(tmp_path, verdict).read_text("utf-8")
    assert text.startswith("# redrill: REJECT for 'shop-staging'\n")
    assert "| web-1 | APPROVE | 10.0 s | 4.2 s of 10m | 0 s of 15m | 1 | 0 | 0 | 0 | 0 |" in text
    assert "| web-1 | shop | 4.2 s | 10m | 4.3 s | wipe 0.5 + restore 2.0 + boot 0.8 + ready 1.0 | 1.0 s |" in text
    assert "| database-1 | orders | 0.2 s of 15m: 2 of 10 writes lost |" in text
    assert r"failed: '/etc/a\|b' changed &lt;b>now&lt;/b>." in text
    assert "`records/database-1.json`" in text


def test_a_run_folder_is_private_and_named_by_its_time_in_utc(tmp_path):
    folder = new_run_folder(tmp_path / "reports" / "runs", NOON)
    assert folder.name.startswith("20261122T120301Z-")
    assert len(folder.name) == len("20261122T120301Z-7f3a")
    assert mode_of(folder) == 0o700


def test_two_runs_of_one_second_have_folders_of_their_own(tmp_path):
    assert len({new_run_folder(tmp_path, NOON) for _ in range(20)}) == 20


def test_latest_is_a_relative_link_to_the_newest_run(tmp_path):
    runs = tmp_path / "reports" / "runs"
    for _ in range(2):
        folder = new_run_folder(runs, NOON)
        latest = point_latest(folder)
    assert latest == tmp_path / "reports" / "latest"
    assert latest.readlink() == Path("runs") / folder.name
    assert sorted(path.name for path in latest.parent.iterdir()) == ["latest", "runs"]


def test_latest_never_replaces_a_real_folder(tmp_path):
    folder = new_run_folder(tmp_path / "runs", NOON)
    (tmp_path / "latest").mkdir()
    with pytest.raises(RedrillError, match=r"latest' is no link"):
        point_latest(folder)


def test_a_private_file_has_bytes_that_are_no_text_escaped(tmp_path):
    write_private(tmp_path / "a", "x\udcff")
    assert (tmp_path / "a").read_text("utf-8") == "x\\udcff"


def test_sealing_takes_all_rights_from_others_and_follows_no_link(tmp_path):
    run, outside = tmp_path / "run", tmp_path / "outside"
    (run / "a").mkdir(parents=True)
    outside.write_text("o")
    outside.chmod(0o644)
    (run / "a" / "b").write_text("b")
    (run / "a" / "b").chmod(0o664)
    (run / "link").symlink_to(outside)
    seal(run)
    assert [mode_of(run), mode_of(run / "a"), mode_of(run / "a" / "b")] == [0o700, 0o700, 0o600]
    assert mode_of(outside) == 0o644
