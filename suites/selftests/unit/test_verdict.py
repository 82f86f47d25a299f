import pytest

from redrill.errors import Exit
from redrill.model.values import Mode
from redrill.model.verdict import Decision, JudgementOutcome, RunFailure, Verdict
from selftests.verdict_samples import judge, make_failure, make_record, reach


def test_a_run_whose_tests_all_passed_is_approved_without_a_reason():
    verdict = reach([judge(), judge(test="m::test_other")])
    assert (verdict.decision, verdict.exit_code, verdict.reasons) == (Decision.APPROVE, Exit.APPROVE, ())


def test_a_failed_test_rejects_and_names_endpoint_test_and_parameters():
    verdict = reach(
        [judge(), judge(outcome="failed", message="'/opt/x' is not in the image\nmore", application="shop")]
    )
    assert (verdict.decision, verdict.exit_code) == (Decision.REJECT, Exit.REJECT)
    assert verdict.reasons == (
        "'web-1': 'test_nothing_leaks' (application 'shop') failed: '/opt/x' is not in the image.",
    )


def test_a_broken_test_outranks_a_failed_one():
    verdict = reach([judge(outcome="failed", message="a"), judge(outcome="broken", message="b")])
    assert (verdict.decision, verdict.exit_code) == (Decision.INCOMPLETE, Exit.INCOMPLETE)
    assert [reason.rpartition(": ")[2] for reason in verdict.reasons] == ["b.", "a."]


@pytest.mark.parametrize("code", [Exit.QUARANTINED, Exit.CLEANUP, Exit.STOPPED, Exit.BACKUP, Exit.BUSY, Exit.GUARD])
def test_the_failure_of_a_drill_decides_with_its_own_exit_status(code):
    verdict = reach([judge(outcome="blocked")], {"web-1": make_record(failure=make_failure(code))})
    assert (verdict.decision, verdict.exit_code) == (Decision.INCOMPLETE, code)
    assert verdict.reasons[0] == "'web-1' failed in phase 'restore': The restore stopped at 'etc/passwd'."


@pytest.mark.parametrize("code", [Exit.APPROVE, Exit.REJECT, Exit.USAGE, Exit.NOTHING_JUDGED])
def test_a_failure_with_an_exit_status_that_ranks_nowhere_is_incomplete(code):
    verdict = reach([judge()], {"web-1": make_record(failure=make_failure(code))})
    assert (verdict.decision, verdict.exit_code) == (Decision.INCOMPLETE, Exit.INCOMPLETE)


def test_the_gravest_of_several_endpoints_wins_and_comes_first():
    records = {
        "web-1": make_record("web-1"),
        "db-1": make_record("db-1", failure=make_failure(Exit.GUARD, "The guard said no")),
        "kv-1": make_record("kv-1", failure=make_failure(Exit.QUARANTINED, "It burnt")),
    }
    judgements = [
        judge("web-1", "failed", message="drift"),
        judge("db-1", "blocked"),
        judge("kv-1", "blocked"),
    ]
    verdict = reach(judgements, records, names=("web-1", "db-1", "kv-1"))
    assert verdict.exit_code is Exit.QUARANTINED
    assert [reason.split("'")[1] for reason in verdict.reasons] == ["kv-1", "db-1", "web-1"]
    assert [one.decision for one in verdict.endpoints] == ["REJECT", "INCOMPLETE", "INCOMPLETE"]


def test_an_endpoint_that_nobody_judged_makes_the_run_incomplete():
    verdict = reach([judge("web-1")], names=("web-1", "db-1"))
    assert verdict.exit_code is Exit.INCOMPLETE
    assert verdict.reasons == ("'db-1' was not judged: no test of it passed or failed.",)


@pytest.mark.parametrize("judgements", [[], [judge(outcome="not-applicable")]])
def test_a_run_without_any_judgement_is_nothing_judged(judgements):
    verdict = reach(judgements)
    assert (verdict.decision, verdict.exit_code) == (Decision.INCOMPLETE, Exit.NOTHING_JUDGED)
    assert verdict.reasons == ("'web-1' was not judged: no test of it passed or failed.",)


def test_a_run_without_endpoints_is_nothing_judged_even_when_a_test_of_the_fleet_passed():
    verdict = reach([judge(None)], names=())
    assert (verdict.exit_code, verdict.reasons) == (
        Exit.NOTHING_JUDGED,
        ("Nothing was judged: the run has no endpoint.",),
    )


def test_a_drill_that_broke_is_not_hidden_by_the_lack_of_judgements():
    assert reach([], {"web-1": make_record(failure=make_failure())}).exit_code is Exit.QUARANTINED


def test_blocked_tests_are_incomplete_and_say_by_what():
    verdict = reach([judge(), judge(outcome="blocked", message="no log sink"), judge(outcome="blocked", message="z")])
    assert verdict.exit_code is Exit.INCOMPLETE
    assert verdict.reasons == ("'web-1' has 2 blocked tests: no log sink.",)


def test_what_does_not_apply_leaves_a_judged_endpoint_green():
    assert reach([judge(), judge(outcome="not-applicable")]).decision is Decision.APPROVE


def test_a_destructive_run_without_a_record_is_never_green():
    verdict = reach([judge()], records={})
    assert (verdict.exit_code, verdict.reasons) == (Exit.INCOMPLETE, ("'web-1' has no record of a drill.",))


def test_a_destructive_run_that_wiped_nothing_is_never_green():
    assert reach([judge()], {"web-1": make_record(wiped=False)}).exit_code is Exit.INCOMPLETE


def test_an_observing_run_needs_neither_record_nor_wipe():
    assert reach([judge()], records={}, mode=Mode.OBSERVE).decision is Decision.APPROVE
    assert reach([judge()], {"web-1": make_record(wiped=False)}, mode=Mode.OBSERVE).decision is Decision.APPROVE


def test_a_failed_test_of_the_fleet_rejects_the_run():
    verdict = reach([judge(), judge(None, "failed", message="two endpoints share a machine id")])
    assert verdict.exit_code is Exit.REJECT
    assert verdict.reasons[0].startswith("The fleet: 'test_nothing_leaks' failed: two endpoints")


def test_a_judgement_of_an_endpoint_outside_of_the_run_counts():
    verdict = reach([judge(), judge("logs-1", "failed", message="m")])
    assert verdict.exit_code is Exit.REJECT
    assert [one.endpoint for one in verdict.endpoints] == ["web-1", "logs-1"]


def test_a_stored_record_of_an_endpoint_outside_of_the_run_does_not_count():
    records = {"web-1": make_record(), "db-1": make_record("db-1", failure=make_failure())}
    assert reach([judge()], records).decision is Decision.APPROVE


def test_a_failure_of_the_run_counts_beside_green_endpoints():
    verdict = reach([judge()], failures=[RunFailure(exit_code=Exit.CLEANUP, message="'/run/x' is still mounted")])
    assert (verdict.exit_code, verdict.reasons) == (Exit.CLEANUP, ("'/run/x' is still mounted.",))


def test_figures_tell_rto_rpo_objectives_lost_writes_and_seconds():
    verdict = reach([judge()], {"web-1": make_record(rto=4.25, lost=3, seconds=12.5)})
    recovery = verdict.endpoints[0].applications["shop"]
    assert (recovery.rto_seconds, recovery.objective_seconds, recovery.held_seconds) == (4.25, 600.0, 1.0)
    loss = verdict.endpoints[0].losses["orders"]
    assert (loss.rpo_seconds, loss.objective_seconds, loss.written, loss.lost) == (pytest.approx(0.3), 900.0, 10, 3)
    figures = verdict.figures
    assert (figures.drill_seconds, figures.worst_rto_seconds, figures.lost_writes) == (12.5, 4.25, 3)
    assert figures.worst_rpo_seconds == loss.rpo_seconds


def test_the_parts_of_a_recovery_add_up_to_it():
    recovery = reach([judge()], {"web-1": make_record(rto=4.25)}).endpoints[0].applications["shop"]
    assert recovery.phases == {"wipe": 0.5, "restore": 2.0, "boot": 0.75, "ready": 1.0}
    assert recovery.downtime_seconds == pytest.approx(4.3)


def test_an_application_that_is_back_early_did_not_wait_for_the_rest():
    recovery = reach([judge()], {"web-1": make_record(rto=1.0)}).endpoints[0].applications["shop"]
    assert recovery.phases == {"wipe": 0.5, "restore": 0.5}


def test_writes_of_which_nothing_is_known_are_not_counted_as_lost():
    record = make_record(lost=3)
    unknown = record.canaries["orders"].model_copy(update={"unknown": "it could not be read back", "loss": None})
    verdict = reach([judge()], {"web-1": record.model_copy(update={"canaries": {"orders": unknown}})})
    assert (verdict.endpoints[0].losses["orders"].lost, verdict.figures.lost_writes) == (None, None)


def test_a_recovery_without_a_wipe_is_no_rto():
    verdict = reach([judge()], {"web-1": make_record(wiped=False, mode=Mode.OBSERVE)}, mode=Mode.OBSERVE)
    assert verdict.endpoints[0].applications["shop"].rto_seconds is None


def test_the_first_cause_of_an_endpoint_is_that_of_its_drill():
    verdict = reach([judge(outcome="blocked", message="later")], {"web-1": make_record(failure=make_failure())})
    assert verdict.endpoints[0].first_cause == "restore: The restore stopped at 'etc/passwd'."


def test_every_outcome_is_counted_in_a_fixed_order():
    counts = reach([judge(), judge(outcome="failed"), judge(outcome="failed")]).endpoints[0].counts
    assert list(counts) == list(JudgementOutcome)
    assert (counts[JudgementOutcome.PASSED], counts[JudgementOutcome.FAILED]) == (1, 2)


def test_a_verdict_survives_json_with_bytes_that_are_no_text():
    verdict = reach([judge(outcome="failed", message="'/etc/\udcff\x1b[31m' is unexpected")])
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
    assert r"'/etc/\xff\x1b[31m' is unexpected." in verdict.reasons[0]
