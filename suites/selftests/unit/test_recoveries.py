import math

import pytest

from redrill.model.canary import Consistency
from redrill.model.measured import Loss, Recovery
from redrill.model.phases import phases_until, tell_longest
from redrill.model.recovery import NeighbourResult
from redrill.model.values import spell_seconds
from redrill.reporting.recoveries import LINES_SHOWN, choose_worst, tell_loss, tell_recovery
from redrill.reporting.summary import render_terminal, write_summary
from selftests.verdict_samples import judge, make_record, make_spans, reach

MANY = tuple(f"web-{number:02}" for number in range(1, 51))


def lines_of(records, tmp_path, width=100):
    verdict = reach([judge(name) for name in records], records, tuple(records))
    return [line.text for line in render_terminal(verdict, tmp_path, width)]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (0.04, "0.0 s"), (2.21, "2.2 s"), (9.96, "10 s"), (41.4, "41 s"), (120, "2m"), (5401, "1h30m1s")],
)
def test_a_time_is_told_as_exactly_as_it_matters(seconds, words):
    assert spell_seconds(seconds) == words


def test_a_recovery_is_told_with_its_parts(tmp_path):
    lines = lines_of({"web-1": make_record()}, tmp_path)
    assert "  web-1 shop  RTO 4.2 s of 10m = wipe 0.5 + restore 2.0 + boot 0.8 + ready 1.0, held 1.0 s" in lines
    assert "  web-1       RPO of 15m: 0 s (orders); 0 of 10 writes lost" in lines


def test_an_application_that_never_came_back_is_told_as_such():
    never = Recovery(is_measured=True, objective_seconds=30, phases={"wipe": 0.5, "restore": 41.0}, healthy=False)
    assert tell_recovery(never) == "RTO never of 30 s: wipe 0.5 + restore 41"


def test_a_recovery_from_a_crash_consistent_backup_is_told_as_such():
    back = Recovery(is_measured=True, rto_seconds=2.0, held_seconds=1.0, healthy=True, consistency=Consistency.CRASH)
    assert tell_recovery(back) == "RTO 2.0 s, held 1.0 s, from a crash-consistent backup"
    stopped = back.model_copy(update={"consistency": Consistency.STOPPED})
    assert tell_recovery(stopped) == "RTO 2.0 s, held 1.0 s"


def test_a_loss_that_is_not_known_says_why():
    loss = Loss(objective_seconds=60, interval_seconds=0.1, written=10, unknown="the disk is full")
    assert tell_loss(loss) == "unknown of 60 s: the disk is full"


def test_what_never_came_back_or_is_not_known_is_the_worst_of_the_table(tmp_path):
    record = make_record(rto=None)
    lost = record.canaries["orders"].model_copy(update={"unknown": "no answer", "loss": None})
    lines = lines_of({"web-1": record.model_copy(update={"canaries": {"orders": lost}})}, tmp_path)
    assert lines[1].split()[4:-5] == ["never", "of", "10m", "unknown", "of", "15m"]


def test_the_state_classes_of_an_endpoint_share_a_line(tmp_path):
    record = make_record(lost=2)
    orders = record.canaries["orders"]
    canaries = {"orders": orders, "append /var": orders.model_copy(update={"unknown": "no answer", "loss": None})}
    canaries["rename /var"] = orders
    lines = lines_of({"web-1": record.model_copy(update={"canaries": canaries})}, tmp_path)
    assert "  web-1       RPO of 15m: unknown (append /var), 0.2 s (orders, rename /var); 4 of 30 writes lost" in lines


@pytest.mark.parametrize(
    ("fared", "words"),
    [
        ({"failed": 0}, "0 of 96 answers bad"),
        ({"failed": 2, "longest": 0.21}, "2 of 96 answers bad, for 0.2 s at once"),
        (
            {"failed": 0, "unasked": 61.0},
            "0 of 96 answers bad, not asked in the first 61 s, for the drill was interrupted",
        ),
    ],
)
def test_it_is_told_how_the_neighbours_fared(tmp_path, fared, words):
    hub = NeighbourResult(endpoint="logs-1", application="hub", asked=96, **fared)
    record = make_record().model_copy(update={"neighbours": (hub,)})
    verdict = reach([judge()], {"web-1": record})
    text = " ".join(" ".join(line.text for line in render_terminal(verdict, tmp_path, 200)).split())
    in_full = f" (logs-1/hub: {words})" if words != "0 of 96 answers bad" else ""
    assert f"web-1 neighbours: {fared['failed']} of 96 answers bad{in_full}" in text
    assert f"| web-1 | logs-1/hub | {words} |" in write_summary(tmp_path, verdict).read_text()


def test_what_was_drilled_as_well_or_may_be_down_meanwhile_is_no_neighbour():
    drilled = NeighbourResult(endpoint="db-1", application="sql", asked=0, failed=0, is_drilled=True)
    waits = NeighbourResult(endpoint="web-2", application="shop", asked=9, failed=9, tolerated=5.0, needs=("shop",))
    record = make_record().model_copy(update={"neighbours": (drilled, waits)})
    assert reach([judge()], {"web-1": record}).endpoints[0].neighbours == {}


def test_a_run_that_wiped_nothing_has_measured_nothing(tmp_path):
    record = make_record(wiped=False).model_copy(update={"canaries": {}})
    assert not any("RTO " in line for line in lines_of({"web-1": record}, tmp_path)[1:])


def test_a_missed_objective_is_red(tmp_path):
    verdict = reach([judge()], {"web-1": make_record(rto=601.0)})
    (line,) = (line for line in render_terminal(verdict, tmp_path, 100) if " RTO 10m1s of 10m = " in line.text)
    assert line.markup == {"red": True}


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_of_what_was_measured_is_wider_than_the_terminal(tmp_path, width):
    record = make_record().model_copy(
        update={"timeline": make_spans(**{f"a long name of a part {number}": 1.0 for number in range(9)})}
    )
    measured = "\n".join(lines_of({"web-1": record}, tmp_path, width)).split("\n\n")[1].split("\n")
    assert len(measured) > 2
    assert max(map(len, measured)) <= width


def test_of_many_endpoints_the_worst_are_shown_and_the_others_counted(tmp_path):
    records = {name: make_record(name, rto=float(number)) for number, name in enumerate(MANY, 1)}
    lines = lines_of(records, tmp_path)
    shown = [line.split()[0] for line in lines if " RTO " in line and " = " in line]
    assert shown == list(MANY[-LINES_SHOWN // 2 :])
    assert "  … and 42 endpoints whose figures are better, all of them in summary.md" in lines
    summary = write_summary(tmp_path, reach([judge(name) for name in MANY], records, MANY)).read_text()
    assert all(f"| {name} | shop |" in summary and f"| {name} | orders |" in summary for name in MANY)


def test_an_endpoint_that_did_not_come_back_is_the_worst():
    records = {name: make_record(name, rto=None if name == "web-07" else 900.0) for name in MANY}
    told, _ = choose_worst(reach([judge(name) for name in MANY], records, MANY).endpoints)
    assert [each.subject for each in told if each.endpoint == "web-07"] == ["shop", ""]
    assert next(each.part for each in told if each.endpoint == "web-07") == math.inf


def test_a_single_endpoint_is_shown_however_much_there_is_of_it():
    record = make_record()
    record = record.model_copy(
        update={"applications": {f"shop-{n}": record.applications["shop"] for n in range(LINES_SHOWN * 2)}}
    )
    told, hidden = choose_worst(reach([judge()], {"web-1": record}).endpoints)
    assert (len(told), hidden) == (LINES_SHOWN * 2 + 1, 0)


def test_warnings_are_told_and_change_nothing(tmp_path):
    verdict = reach([judge()]).model_copy(update={"warnings": ("The ledger '/x' cannot be used: no space.",)})
    lines = render_terminal(verdict, tmp_path, 100)
    assert any(line.text == "  * The ledger '/x' cannot be used: no space." and line.markup for line in lines)
    assert "## Warnings\n\n- The ledger '/x' cannot" in write_summary(tmp_path, verdict).read_text()
    assert lines[-1].text.startswith("APPROVE")


def test_the_longest_part_is_told_with_the_whole():
    spans = phases_until(make_spans(wipe=1.0, restore=41.0, boot=3.0), 55.0)
    assert tell_longest(spans) == "longest: restore 41 s of 55 s"
    assert tell_longest(()) == ""


def test_parts_of_one_that_never_came_back_are_all_there_are():
    spans = make_spans(wipe=1.0, restore=2.0)
    assert phases_until(spans, None) == spans


def test_a_ready_part_of_another_application_is_not_ones_own():
    spans = make_spans(wipe=1.0, ready=9.0)
    assert [(span.name, span.ended) for span in phases_until(spans, 2.0)] == [("wipe", 1.0), ("ready", 2.0)]
