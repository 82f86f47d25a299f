"""Whatever is found and whatever the owner says: no finding is lost, and nothing is excused that nobody names."""

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from redrill.analysis.adoption import Terms, draft_waivers, write_drafts
from redrill.analysis.weighing import weigh
from redrill.model.finding import Finding, Severity
from redrill.model.rules import IgnoreRule, Match
from redrill.model.waivers import Waiver, Waivers
from redrill.model.waivers_file import parse_waivers
from redrill.model.weighed import State
from selftests.finding_samples import TODAY

SUBJECTS = st.sampled_from(["/opt/a", "/opt/b", "/srv/a", "nginx.service"]) | st.text(min_size=1, max_size=8)
ENDPOINTS = st.sampled_from(["web-1", "web-2", "db-1"])
GLOBS = st.sampled_from(["/opt/*", "/**", "/srv/a", "*.service", "**"])
DAYS = st.integers(-3, 3).map(lambda days: TODAY + timedelta(days))
FINDINGS = st.builds(
    Finding,
    promise=st.sampled_from(["leaks", "system files"]),
    kind=st.sampled_from(["leak", "content"]),
    endpoint=ENDPOINTS,
    subject=SUBJECTS,
    detail=st.text(max_size=8),
    severity=st.sampled_from(Severity),
    why=st.text(max_size=8),
    group=st.sampled_from(["", "/opt"]),
)
MEANT = st.fixed_dictionaries({"subject": GLOBS}, optional={"promise": st.just("leaks"), "kind": st.just("leak")})
RULES = st.lists(MEANT.map(lambda meant: IgnoreRule(reason="r", **meant)), max_size=2)
WAIVERS = st.dictionaries(
    st.sampled_from("abc"),
    st.builds(
        Waiver,
        match=MEANT.map(lambda meant: Match(**meant)),
        endpoints=st.sampled_from([("*",), ("web-*",), ("db-1",)]),
        owner=st.just("o"),
        reason=st.just("r"),
        ticket=st.just("t"),
        expires=DAYS,
    ),
    max_size=3,
).map(lambda waivers: Waivers(waivers=waivers))


@given(st.lists(FINDINGS, max_size=6), RULES, WAIVERS)
def test_every_finding_has_the_state_that_the_rules_give_it(findings, rules, waivers):
    weighed = weigh(findings, rules, waivers, TODAY)
    assert sorted(one.finding.id for one in weighed) == sorted(finding.id for finding in findings)
    for one in weighed:
        is_ignored = any(rule.covers(one.finding) for rule in rules)
        is_waived = any(w.covers(one.finding) and w.expires >= TODAY for w in waivers.waivers.values())
        is_note = one.finding.severity is Severity.NOTE
        wanted = State.IGNORED if is_ignored else State.NOTE if is_note else State.WAIVED if is_waived else State.OPEN
        assert one.state is wanted


@given(st.lists(FINDINGS, max_size=6), RULES, RULES)
def test_one_more_rule_never_opens_a_finding(findings, rules, more):
    def ignored(own):
        return {
            one.finding.model_dump_json()
            for one in weigh(findings, own, Waivers(), TODAY)
            if one.state is State.IGNORED
        }

    assert ignored(rules) | ignored(more) == ignored([*rules, *more])


@given(st.lists(FINDINGS, max_size=6), WAIVERS, DAYS)
def test_a_waiver_never_counts_again_once_it_has_expired(findings, waivers, day):
    def is_open(today: date) -> set[str]:
        return {one.finding.model_dump_json() for one in weigh(findings, [], waivers, today) if one.state is State.OPEN}

    assert is_open(day) <= is_open(day + timedelta(days=1))


@settings(deadline=20_000)
@given(st.lists(FINDINGS, max_size=8), st.text(min_size=1, max_size=8).filter(str.strip))
def test_what_is_adopted_is_waived_until_the_end_of_the_last_day(findings, words):
    terms = Terms(words, words, words, TODAY)
    file = write_drafts(None, draft_waivers(findings, Waivers(), terms), "waivers.yml")
    waivers = parse_waivers(file.encode(), "waivers.yml")
    assert {one.state for one in weigh(findings, [], waivers, TODAY)} <= {State.WAIVED, State.NOTE}
    assert State.WAIVED not in {one.state for one in weigh(findings, [], waivers, TODAY + timedelta(days=1))}
