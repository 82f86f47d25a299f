from hypothesis import given
from hypothesis import strategies as st

from redrill.errors import GRAVEST_FIRST, Exit
from redrill.model.values import Mode
from redrill.model.verdict import Decision, JudgementOutcome, Verdict
from selftests.verdict_samples import judge, make_failure, make_record, reach

NAMES = ("web-1", "db-1", "kv-1")
FAILURE_CODES = [code for code in GRAVEST_FIRST if code is not Exit.REJECT]

judgements = st.lists(
    st.builds(
        judge,
        endpoint=st.sampled_from([*NAMES, None]),
        outcome=st.sampled_from(JudgementOutcome),
        test=st.sampled_from(["m::test_a", "m::test_b", "m::test_c"]),
        message=st.text(max_size=20),
    ),
    max_size=12,
)
records = st.fixed_dictionaries(
    {},
    optional={
        name: st.builds(
            make_record,
            endpoint=st.just(name),
            failure=st.none() | st.builds(make_failure, code=st.sampled_from(FAILURE_CODES)),
            wiped=st.booleans(),
            lost=st.integers(0, 10),
        )
        for name in NAMES
    },
)
modes = st.sampled_from(Mode)


def gravity(verdict: Verdict) -> int:
    """Return how grave an exit status is; that nothing was judged is as grave as INCOMPLETE."""
    code = Exit.INCOMPLETE if verdict.exit_code is Exit.NOTHING_JUDGED else verdict.exit_code
    return 0 if code is Exit.APPROVE else len(GRAVEST_FIRST) - GRAVEST_FIRST.index(code)


@given(judgements, records, modes)
def test_a_failed_broken_or_blocked_test_is_never_approved(judged, recorded, mode):
    verdict = reach(judged, recorded, NAMES, mode)
    grave = {JudgementOutcome.FAILED, JudgementOutcome.BROKEN, JudgementOutcome.BLOCKED}
    if any(one.outcome in grave for one in judged):
        assert verdict.decision is not Decision.APPROVE


@given(judgements, records, modes)
def test_what_is_approved_was_passed_on_every_endpoint_without_a_failure(judged, recorded, mode):
    if reach(judged, recorded, NAMES, mode).decision is Decision.APPROVE:
        assert set(NAMES) <= {one.endpoint for one in judged if one.outcome is JudgementOutcome.PASSED}
        assert all(record.failure is None for record in recorded.values())
        assert mode is Mode.OBSERVE or set(recorded) == set(NAMES)


@given(judgements, records, modes)
def test_decision_reasons_and_exit_status_agree(judged, recorded, mode):
    verdict = reach(judged, recorded, NAMES, mode)
    assert (verdict.decision is Decision.APPROVE) == (verdict.exit_code is Exit.APPROVE) == (verdict.reasons == ())
    assert (verdict.decision is Decision.REJECT) == (verdict.exit_code is Exit.REJECT)


@given(judgements, records, modes, st.sampled_from(["failed", "broken", "blocked"]), st.sampled_from(NAMES))
def test_one_more_grave_outcome_never_makes_a_judged_run_less_grave(judged, recorded, mode, outcome, name):
    judged = [*judged, *(judge(endpoint) for endpoint in NAMES)]
    before = gravity(reach(judged, recorded, NAMES, mode))
    assert gravity(reach([*judged, judge(name, outcome)], recorded, NAMES, mode)) >= before


@given(judgements, records, modes, st.sampled_from(NAMES), st.sampled_from(FAILURE_CODES))
def test_a_drill_that_breaks_never_makes_a_run_less_grave(judged, recorded, mode, name, code):
    recorded = {**recorded, name: make_record(name)}
    broken = {**recorded, name: make_record(name, failure=make_failure(code))}
    assert gravity(reach(judged, broken, NAMES, mode)) >= gravity(reach(judged, recorded, NAMES, mode))


@given(judgements, records, modes, st.randoms(use_true_random=False))
def test_the_order_of_the_judgements_does_not_matter(judged, recorded, mode, random):
    shuffled = random.sample(judged, len(judged))
    assert reach(shuffled, recorded, NAMES, mode) == reach(judged, recorded, NAMES, mode)


@given(judgements, records, modes)
def test_a_verdict_is_the_same_after_json(judged, recorded, mode):
    verdict = reach(judged, recorded, NAMES, mode)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
