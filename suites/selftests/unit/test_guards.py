"""Each guard on its own: what lets a wipe pass, what refuses it, and what cannot be told and refuses, too."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from redrill.drill.guards import schedule
from redrill.drill.guards.change import judge_change
from redrill.drill.guards.limits import judge_clock, judge_count, judge_environment, judge_shares, judge_twins
from redrill.drill.guards.live import Identity, LiveFacts, TokenFile, normal, parse_addresses
from redrill.drill.guards.protection import (
    Controller,
    judge_address,
    judge_protected,
    judge_self,
    judge_words,
    know_controller,
)
from redrill.drill.guards.schedule import Outage, judge_blackouts, judge_interval, judge_windows, remember_wipe
from redrill.drill.guards.state import GuardState
from redrill.drill.guards.token import judge_token, parse_token, write_token
from redrill.drill.waves import form_waves
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.guards import Guards, Protected
from redrill.model.values import Mode

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MACHINE, OTHER = "0123456789abcdef0123456789abcdef", "f" * 32
TEXT = write_token("shop", MACHINE, date(2026, 12, 31))
TOKEN = TokenFile(0, 0o644, "regular file", 0, 0o755, TEXT)
FACTS = LiveFacts(Identity(MACHINE, "", "rack:7"), "boot-1", "web-1.shop", token=TOKEN, has_init=True)
HERE = Controller(OTHER, "boot-0", frozenset({"192.0.2.1"}))


def endpoint(name: str, **more: object) -> Endpoint:
    return Endpoint.model_validate({"name": name, "expendable": True, **more})


WEB = endpoint("web-1", address="192.0.2.11")


def fleet_of(*endpoints: Endpoint, environment: str = "staging", **guards: object) -> Fleet:
    return Fleet(
        name="shop",
        environment=environment,
        source=Path("/fleets/shop.yml"),
        endpoints=endpoints or (WEB,),
        guards=Guards.model_validate(guards),
    )


def said(state: GuardState) -> str:
    return state.state.value


# ---- the token on the endpoint -------------------------------------------------------------------------------------


def token_state(token: TokenFile | None = TOKEN, facts: LiveFacts = FACTS, now: datetime = NOW) -> GuardState:
    return judge_token(fleet_of(), WEB, replace(facts, token=token), now)


def test_a_token_for_this_fleet_and_this_host_passes() -> None:
    assert said(token_state()) == "pass"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"owner": 1000}, "belongs to user 1000"),
        ({"folder_owner": 1000}, "belongs to user 1000"),
        ({"mode": 0o666}, "can be written by others"),
        ({"mode": 0o664}, "can be written by others"),
        ({"folder_mode": 0o777}, "can be written by others"),
        ({"sort": "symbolic link"}, "is a symbolic link"),
        ({"text": ""}, "it lacks 'fleet"),
        ({"text": TEXT + "fleet: other\n"}, "'fleet' is given twice"),
        ({"text": TEXT + "force: yes\n"}, "the line 'force: yes' is none of"),
        ({"text": TEXT.replace("2026-12-31", "soon")}, "'soon' is no date"),
        ({"text": TEXT.replace("2026-12-31", "2026-13-31")}, "is no token"),
        ({"text": TEXT.replace("2026-12-31", "2026-11-21")}, "expired on 2026-11-21"),
        ({"text": TEXT.replace("fleet: shop", "fleet: prod")}, "is for the fleet 'prod'"),
        ({"text": TEXT.replace(MACHINE, OTHER)}, "is for another host"),
        ({"text": "#" * 5000}, "it is longer than 4096 bytes"),
    ],
)
def test_a_token_that_anybody_could_have_written_or_that_says_something_else_is_refused(changes, words) -> None:
    state = token_state(replace(TOKEN, **changes))
    assert said(state) == "refuse"
    assert words in state.detail


def test_no_token_is_refused_with_how_to_get_one() -> None:
    state = token_state(None)
    assert said(state) == "refuse"
    assert "redrill allow shop.yml web-1 --until DATE" in state.detail


def test_a_token_that_cannot_be_read_is_unknown() -> None:
    assert said(token_state(None, replace(FACTS, unknown={"token": "Permission denied"}))) == "unknown"


def test_a_token_is_valid_until_the_end_of_its_day() -> None:
    assert said(token_state(now=datetime(2026, 12, 31, 23, 59, tzinfo=UTC))) == "pass"
    assert said(token_state(now=datetime(2027, 1, 1, 0, 0, tzinfo=UTC))) == "refuse"


@pytest.mark.parametrize("identity", ["01234567-89AB-CDEF-0123-456789ABCDEF", "rack:7"])
def test_a_token_may_name_any_id_of_the_host_in_any_spelling(identity) -> None:
    assert parse_token(TEXT).identity == MACHINE
    assert said(token_state(replace(TOKEN, text=TEXT.replace(MACHINE, identity)))) == "pass"


# ---- protected, and the controller itself --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "protected",
    [
        {"names": ["web-1"]},
        {"names": ["WEB-?"]},
        {"names": ["web-1.shop"]},
        {"addresses": ["192.0.2.11"]},
        {"addresses": ["192.0.2.0/24"]},
        {"addresses": ["198.18.0.9"]},
        {"addresses": ["203.0.113.0/24"]},
        {"identities": ["01234567-89ab-cdef-0123-456789abcdef"]},
        {"identities": ["rack:7"]},
        {"disks": ["WD-SERIAL-1"]},
    ],
    ids=str,
)
def test_whatever_an_endpoint_is_known_by_protects_it(protected) -> None:
    facts = replace(FACTS, addresses=frozenset({"203.0.113.5"}), disks=frozenset({normal("wd-serial-1")}))
    assert said(judge_protected(Protected.model_validate(protected), WEB, ["198.18.0.9"], facts)) == "refuse"


def test_what_is_about_others_protects_only_them() -> None:
    others = Protected(names=("db-*",), addresses=("10.0.0.0/8", "vault"), identities=(OTHER,), disks=("x",))
    assert said(judge_protected(others, WEB, ["198.18.0.9", "::1"], FACTS)) == "pass"


@pytest.mark.parametrize(
    ("protected", "fact"),
    [({"disks": ["x"]}, "disks"), ({"names": ["x"]}, "host_name"), ({"addresses": ["10.0.0.1"]}, "addresses")],
)
def test_a_protected_list_that_cannot_be_checked_is_unknown(protected, fact) -> None:
    facts = replace(FACTS, unknown={fact: "not found"})
    assert said(judge_protected(Protected.model_validate(protected), WEB, [], facts)) == "unknown"


def test_a_protected_name_or_address_is_known_without_asking_the_host() -> None:
    assert said(judge_words(Protected(names=("web-*",)), WEB, [])) == "refuse"
    assert said(judge_words(Protected(addresses=("198.18.0.0/15",)), WEB, ["198.18.0.9"])) == "refuse"
    assert said(judge_words(Protected(addresses=("::ffff:0:0/96",)), WEB, ["::ffff:10.0.0.1"])) == "refuse"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::", "192.0.2.1", "::ffff:127.0.0.1"])
def test_no_address_of_the_controller_is_a_target(address) -> None:
    assert said(judge_address(HERE, WEB, ["192.0.2.11", address])) == "refuse"


def test_what_answers_must_not_be_the_controller() -> None:
    assert said(judge_self(HERE, WEB, None, FACTS)) == "pass"
    assert said(judge_self(HERE, WEB, None, replace(FACTS, boot_id="boot-0"))) == "refuse"
    assert said(judge_self(HERE, WEB, None, replace(FACTS, identity=Identity(OTHER)))) == "refuse"
    assert said(judge_self(HERE, WEB, None, replace(FACTS, boot_id=""))) == "unknown"
    assert said(judge_self(HERE, WEB, Path("/"), replace(FACTS, has_init=False))) == "refuse"


def test_the_controller_knows_itself() -> None:
    known = know_controller()
    assert known.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert not any(address.startswith("127.") for address in known.addresses)


def test_addresses_are_read_without_any_tool() -> None:
    trie = "  +-- 0.0.0.0/0 3 0 5\n   |-- 10.9.8.7\n    /32 host LOCAL\n   |-- 10.9.8.255\n    /32 link BROADCAST"
    inet6 = "fe800000000000000000000000000001 02 40 20 80     eth0\n00000000000000000000000000000001 01 80 10 80 lo\n"
    assert parse_addresses(f"{trie}\n{inet6}") == {"10.9.8.7", "fe80::1"}


# ---- environment, numbers, twins -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "meant", "state"),
    [
        ("staging", "staging", "pass"),
        ("staging", "prod", "refuse"),
        ("staging", None, "refuse"),
        ("staging", "", "refuse"),
        ("unnamed", "unnamed", "refuse"),
    ],
)
def test_the_environment_must_be_the_one_that_is_meant(declared, meant, state) -> None:
    assert said(judge_environment(fleet_of(environment=declared), meant)) == state


def test_by_default_one_endpoint_a_run_and_half_of_a_role() -> None:
    two = [endpoint(f"web-{n}", role="web", failure_domain="rack-a") for n in (1, 2)]
    fleet = fleet_of(*two)
    assert said(judge_count(fleet, two)) == "refuse"
    assert said(judge_count(fleet, [])) == "refuse"
    assert said(judge_count(fleet, two[:1])) == "pass"
    assert [said(state) for state in judge_shares(fleet, two)] == ["refuse", "refuse"]
    assert [said(state) for state in judge_shares(fleet, two[:1])] == ["pass", "pass"]


def test_the_only_endpoint_of_a_role_is_too_much_of_it_unless_the_fleet_file_says_so() -> None:
    only = endpoint("db-1", role="db")
    assert [said(state) for state in judge_shares(fleet_of(only), [only])] == ["refuse", "off"]
    allowed = fleet_of(only, limits={"most_of_role": 100})
    assert [said(state) for state in judge_shares(allowed, [only])] == ["pass", "off"]


def test_two_endpoints_that_are_one_are_refused() -> None:
    twin = endpoint("web-2")
    places = {"web-1": frozenset({"192.0.2.11 port 22"}), "web-2": frozenset({"192.0.2.12 port 22"})}
    other = replace(FACTS, identity=Identity(OTHER))
    assert said(judge_twins([WEB, twin], places, {"web-1": FACTS, "web-2": other})) == "pass"
    assert said(judge_twins([WEB, twin], places, {"web-1": FACTS, "web-2": FACTS})) == "refuse"
    same = dict.fromkeys(places, frozenset({"192.0.2.11 port 22"}))
    assert said(judge_twins([WEB, twin], same, {"web-1": FACTS, "web-2": other})) == "refuse"
    assert said(judge_twins([WEB, twin], places, {"web-1": FACTS})) == "unknown"


@pytest.mark.parametrize(("skew", "state"), [(0.0, "pass"), (59.0, "pass"), (61.0, "refuse"), (-3600.0, "refuse")])
def test_a_clock_that_is_off_is_refused(skew, state) -> None:
    assert said(judge_clock(fleet_of(), WEB, replace(FACTS, skew=skew))) == state


def test_a_clock_that_cannot_be_read_is_unknown() -> None:
    assert said(judge_clock(fleet_of(), WEB, replace(FACTS, unknown={"clock": "no date"}))) == "unknown"


# ---- when ----------------------------------------------------------------------------------------------------------


def test_outside_of_every_window_is_refused() -> None:
    fleet = fleet_of(windows=[{"from": "22:00", "to": "04:00"}])
    assert said(judge_windows(fleet, [WEB], NOW)) == "refuse"
    assert said(judge_windows(fleet, [WEB], NOW + timedelta(hours=11))) == "pass"
    assert said(judge_windows(fleet_of(), [WEB], NOW)) == "off"


SLOW = endpoint("db-1", objectives={"rto": "1h"})


def test_what_cannot_be_back_before_the_window_closes_is_not_started() -> None:
    fleet = fleet_of(windows=[{"from": "10:00", "to": "12:30"}])
    assert said(judge_windows(fleet, [WEB], NOW)) == "pass"
    assert said(judge_windows(fleet, [WEB], NOW + timedelta(minutes=20))) == "pass"
    assert said(judge_windows(fleet, [WEB], NOW + timedelta(minutes=21))) == "refuse"
    state = judge_windows(fleet, [WEB, SLOW], NOW)
    assert said(state) == "refuse"
    assert "it closes at 2026-11-22 12:30 UTC, but 'db-1' may be down for 1h" in state.detail


def test_two_windows_that_follow_one_another_give_the_time_of_both() -> None:
    fleet = fleet_of(windows=[{"from": "10:00", "to": "12:30"}, {"from": "12:30", "to": "13:00"}])
    assert said(judge_windows(fleet, [SLOW], NOW)) == "pass"
    assert said(judge_windows(fleet, [SLOW], NOW + timedelta(minutes=1))) == "refuse"


def test_an_endpoint_may_be_down_until_its_slowest_application_has_recovered_and_held() -> None:
    applications = {
        "shop": {"tcp": {"port": 80}, "hold": "30s", "objectives": {"rto": "5m"}},
        "mail": {"tcp": {"port": 25}, "hold": "2m"},
    }
    assert endpoint("web-1", objectives={"rto": "10m"}, applications=applications).outage == timedelta(minutes=12)
    assert endpoint("web-1", objectives={"rto": "4m"}, applications=applications).outage == timedelta(minutes=6)
    assert endpoint("web-1", objectives={"rto": "4m"}).outage == timedelta(minutes=4)


@pytest.mark.parametrize(
    ("drill", "minutes"),
    [
        (Outage(Mode.REPLACE), 10),
        (Outage(Mode.VANILLA), 20),
        (Outage(Mode.RELOCATE), 20),
        (Outage(trials=3), 40),
        (Outage(trials=200, within=timedelta(minutes=30)), 50),  # the last trial begins just before that
        (Outage(trials=2, within=timedelta(minutes=30)), 30),
    ],
    ids=str,
)
def test_each_time_that_an_endpoint_has_to_come_up_counts(drill: Outage, minutes: int) -> None:
    web = endpoint("web-1", objectives={"rto": "10m"})
    fleet = fleet_of(
        windows=[{"from": "10:00", "to": "14:00"}],
        blackouts=[{"from": "2026-11-23", "to": "2026-11-23", "reason": "sale"}],
    )
    for judge, end in ((judge_windows, NOW.replace(hour=14)), (judge_blackouts, datetime(2026, 11, 23, tzinfo=UTC))):
        begin = end - timedelta(minutes=minutes, seconds=1)
        assert said(judge(fleet, [web], begin, drill)) == "pass"
        late = judge(fleet, [web], begin + timedelta(minutes=1), drill)
        assert said(late) == "refuse"
        assert ("10m each time that it has to come up" in late.detail) is (minutes > 10)


def test_on_a_blackout_date_is_refused_with_its_reason() -> None:
    fleet = fleet_of(blackouts=[{"from": "2026-11-20", "to": "2026-11-22", "reason": "sale"}])
    state = judge_blackouts(fleet, [WEB], NOW)
    assert said(state) == "refuse"
    assert "sale" in state.detail


def test_what_cannot_be_back_before_a_blackout_begins_is_not_started() -> None:
    fleet = fleet_of(blackouts=[{"from": "2026-11-23", "to": "2026-11-24", "reason": "sale"}])
    assert said(judge_blackouts(fleet, [WEB, SLOW], NOW)) == "pass"
    late = NOW.replace(hour=23, minute=30)
    assert said(judge_blackouts(fleet, [WEB], late)) == "pass"
    state = judge_blackouts(fleet, [WEB, SLOW], late)
    assert said(state) == "refuse"
    assert "no drills from 2026-11-23 (UTC), but 'db-1' may be down for 1h: sale" in state.detail


@pytest.fixture
def memory(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(schedule, "state_folder", lambda: tmp_path)
    return tmp_path


@pytest.mark.usefixtures("memory")
def test_an_endpoint_is_not_wiped_again_too_soon() -> None:
    fleet, who = fleet_of(min_interval="12h"), FACTS.identity
    assert said(judge_interval(fleet, WEB, who, NOW)) == "pass"
    remember_wipe(who, "web-1", "run", NOW)
    assert said(judge_interval(fleet, WEB, who, NOW + timedelta(hours=11))) == "refuse"
    assert said(judge_interval(fleet, WEB, Identity(OTHER), NOW)) == "pass"
    assert said(judge_interval(fleet, WEB, who, NOW + timedelta(hours=13))) == "pass"
    assert said(judge_interval(fleet_of(), WEB, who, NOW)) == "off"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"at": "yesterday"}', '{"at": "2026-11-22T10:00:00"}'])
def test_a_memory_that_cannot_be_read_is_unknown(memory, text) -> None:
    remember_wipe(FACTS.identity, "web-1", "run", NOW)
    next((memory / "wiped").iterdir()).write_text(text)
    assert said(judge_interval(fleet_of(min_interval="12h"), WEB, FACTS.identity, NOW)) == "unknown"


# ---- the change ticket ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ticket", "check", "state"),
    [
        (None, None, "refuse"),
        ("", None, "refuse"),
        ("CHG12", None, "refuse"),
        ("CHG1234 ; rm", None, "refuse"),
        ("CHG1234", None, "pass"),
        ("CHG1234", 'test "$REDRILL_CHANGE" = CHG1234', "pass"),
        ("CHG1234", "echo not approved; false", "refuse"),
        ("CHG1234", "/nonexistent", "refuse"),
    ],
)
def test_a_change_ticket_must_match_and_be_approved(tmp_path, ticket, check, state) -> None:
    fleet = fleet_of(change={"pattern": "CHG[0-9]{4}", "check": check})
    assert said(judge_change(fleet.model_copy(update={"source": tmp_path / "f.yml"}), ticket)) == state


# ---- waves ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guards", "waves"),
    [
        ({}, "a b c d"),
        ({"waves": {"canary": 1, "size": 2}}, "a bc d"),
        ({"waves": {"canary": 0, "size": 3}}, "abc d"),
        ({"waves": {"canary": 2, "size": 1}}, "ab c d"),
        ({"waves": {"canary": 0, "size": 4}, "anti_affinity": [["a", "c"], ["b", "d"]]}, "ab cd"),
        ({"waves": {"canary": 0, "size": 4}, "anti_affinity": [["a", "b", "c"]]}, "ad b c"),
    ],
    ids=str,
)
def test_waves_begin_with_the_canaries_and_keep_groups_apart(guards, waves) -> None:
    formed = form_waves(list("abcd"), Guards.model_validate(guards))
    assert " ".join("".join(wave) for wave in formed) == waves
