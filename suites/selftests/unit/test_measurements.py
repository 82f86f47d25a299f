"""What is kept of a drill, what many drills come to, and when a recovery has slowed down."""

from pathlib import Path

import pytest

from redrill.ledger.baseline import MOST, collect_baseline, read_baseline, slower_than_usual, write_baseline
from redrill.ledger.percentiles import NEVER, percentile, trends_of
from redrill.ledger.sqlite import SqliteLedger
from redrill.model.measurement import measurements_of
from redrill.model.values import Mode
from redrill.model.verdict import Decision
from selftests.measurement_samples import measure, measure_all
from selftests.verdict_samples import START, make_failure, make_record


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    return SqliteLedger({}, tmp_path)


def test_a_drill_is_measured_by_application():
    (shop,) = measurements_of("shop-staging", make_record(lost=2), Decision.REJECT)
    assert (shop.run, shop.fleet, shop.endpoint, shop.application) == ("r1", "shop-staging", "web-1", "shop")
    assert (shop.recovered_after, shop.downtime, shop.held, shop.verdict) == (4.25, 4.3, 1.0, Decision.REJECT)
    assert [(span.name, span.seconds) for span in shop.phases][-1] == ("ready", 1.0)
    assert shop.losses == {"orders": 0.2}
    assert shop.began > START


def test_losses_of_the_endpoint_count_for_each_application_and_those_of_others_do_not():
    record = make_record(lost=2)
    orders = record.canaries["orders"]
    canaries = {
        "append /var": orders.model_copy(update={"application": None, "loss": 3.0}),
        "mails": orders.model_copy(update={"application": "mail"}),
    }
    (shop,) = measurements_of("f", record.model_copy(update={"canaries": canaries}), Decision.APPROVE)
    assert shop.losses == {"append /var": 3.0}


@pytest.mark.parametrize("record", [make_record(failure=make_failure()), make_record(wiped=False)])
def test_a_drill_that_broke_or_wiped_nothing_measures_nothing(record):
    assert measurements_of("f", record, Decision.INCOMPLETE) == []


def test_an_interrupted_drill_says_so():
    (shop,) = measurements_of("f", make_record(), Decision.APPROVE, interrupted=("web-1",))
    assert shop.is_interrupted


@pytest.mark.parametrize(("percent", "time"), [(1, 1.0), (50, 5.0), (51, 6.0), (90, 9.0), (91, 10.0), (100, 10.0)])
def test_a_percentile_is_a_time_that_was_measured(percent, time):
    assert percentile([float(number) for number in range(10, 0, -1)], percent) == time


def test_the_figures_of_many_drills():
    (trend,) = trends_of(measure_all([2.0, 2.2, 2.1, 9.0, 3.0]))
    assert (trend.drills, trend.p50, trend.p90, trend.worst, trend.last) == (5, 2.2, 9.0, 9.0, 3.0)
    assert trend.change == pytest.approx(3.0 / 2.1 - 1)
    assert trend.last_drilled == measure(5).began


def test_losses_are_the_worst_of_all_state_classes():
    drills = [measure(1, losses={"a": 5.0, "b": 1.0}), measure(2, losses={"a": 0.0, "b": 2.0}), measure(3, losses={})]
    (trend,) = trends_of(drills)
    assert (trend.rpo_last, trend.rpo_worst) == (None, 5.0)


def test_a_loss_that_nobody_knows_is_worse_than_any_other():
    (trend,) = trends_of([measure(1, losses={"a": 5.0}), measure(2, losses={"a": None, "b": 0.0})])
    assert (trend.rpo_last, trend.rpo_worst) == (NEVER, NEVER)


def test_an_application_that_did_not_come_back_is_slower_than_any():
    (trend,) = trends_of(measure_all([2.0, None, 2.0]))
    assert (trend.p50, trend.p90, trend.worst, trend.change) == (2.0, NEVER, NEVER, 0.0)
    (trend,) = trends_of(measure_all([2.0, None]))
    assert (trend.last, trend.change) == (NEVER, None)


def test_the_time_of_an_interrupted_drill_counts_for_nothing():
    (trend,) = trends_of([measure(1), measure(2, 900.0, is_interrupted=True)])
    assert (trend.drills, trend.worst, trend.change) == (2, 2.0, None)


def test_modes_and_applications_are_told_apart():
    drills = [measure(1, mode=Mode.OBSERVE), measure(2, application="mail"), measure(3)]
    assert [(each.application, each.mode) for each in trends_of(drills)] == [
        ("mail", Mode.REPLACE),
        ("shop", Mode.OBSERVE),
        ("shop", Mode.REPLACE),
    ]


USUAL = (4.0, 4.1, 3.9, 4.2, 4.0)


@pytest.mark.parametrize(
    ("took", "percent", "is_slower"),
    [
        (4.0, 50, False),
        (6.0, 50, False),
        (6.1, 50, True),
        (4.9, 10, False),
        (5.0, 10, True),
        (60.0, 2000, False),
    ],
)
def test_a_recovery_has_slowed_down_beyond_its_share_and_beyond_noise(took, percent, is_slower):
    assert (slower_than_usual(took, USUAL, percent) is not None) is is_slower


def test_one_slow_drill_of_before_excuses_nothing():
    assert slower_than_usual(9.0, (*USUAL, 900.0), 50) == 4.0


def test_a_baseline_is_kept_with_the_run(tmp_path: Path, ledger: SqliteLedger):
    ledger.append(measure_all([2.0, 3.0]))
    interrupted = measure(9, application="mail", is_interrupted=True)
    baseline = collect_baseline(ledger, [measure(9), interrupted])
    write_baseline(tmp_path, baseline)
    assert read_baseline(tmp_path) == baseline
    assert baseline.of("web-1", "shop") == (3.0, 2.0)
    assert baseline.of("web-1", "mail") == ()
    assert baseline.interrupted == ("web-1",)


def test_only_the_newest_drills_are_compared_with(ledger: SqliteLedger):
    ledger.append(measure_all([900.0, *[2.0] * MOST]))
    assert collect_baseline(ledger, [measure(99)]).of("web-1", "shop") == (2.0,) * MOST


def test_a_ledger_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path, ledger: SqliteLedger):
    (tmp_path / "ledger.sqlite").write_bytes(b"no ledger" * 1000)
    assert "file is not a database" in (collect_baseline(ledger, [measure()]).unknown or "")


def test_a_run_of_before_the_ledger_was_compared_with_nothing(tmp_path: Path):
    assert read_baseline(tmp_path).of("web-1", "shop") == ()
