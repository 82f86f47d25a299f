"""What is to run on a fresh system, and what became of it: from what systemctl prints."""

from redrill.probes.started import DONE, NOT_HERE, UP, parse_started

TRIED = "ConditionTimestampMonotonic=5"


def block(name: str, state: str = "active", **more: str) -> str:
    values = {"Id": name, "LoadState": "loaded", "ActiveState": state, "SubState": "x", "Result": "success"} | more
    return "\n".join(f"{key}={value}" for key, value in values.items())


def parse(*blocks: str, more: tuple[str, ...] = ()) -> dict[str, str]:
    names = [each.partition("\n")[0].removeprefix("Id=") for each in blocks]
    target = block("multi-user.target", Wants=" ".join(name for name in names if name != "hidden.service"))
    return parse_started("\n\n".join(["multi-user.target", target, *blocks]), more)


def test_a_unit_is_up_done_or_not_for_this_host():
    found = parse(
        block("a.service"),
        block("b.service", "inactive", ExecMainStartTimestampMonotonic="7", ConditionResult="yes"),
        block("c.service", "inactive", ConditionTimestampMonotonic="7", ConditionResult="no"),
    )
    assert found == {"multi-user.target": UP, "a.service": UP, "b.service": DONE, "c.service": NOT_HERE}


def test_a_unit_that_failed_or_was_never_started_is_told_with_its_state():
    found = parse(
        block("a.service", "failed", Result="exit-code"),
        block("b.service", "inactive", ConditionTimestampMonotonic="0", ExecMainStartTimestampMonotonic="0"),
    )
    assert found["a.service"] == "failed (x), result 'exit-code'"
    assert found["b.service"] == "inactive (x), result 'success'"


def test_what_only_a_masked_unit_wants_is_not_to_run():
    masked = block("getty.target", "inactive", LoadState="masked", Wants="hidden.service")
    assert set(parse(masked, block("hidden.service", "inactive"))) == {"multi-user.target"}


def test_what_a_unit_pulls_in_is_to_run_too():
    found = parse(block("basic.target", Requires="hidden.service"), block("hidden.service", "inactive"))
    assert found["hidden.service"].startswith("inactive")


def test_a_unit_that_the_fleet_names_must_be_there():
    assert parse(more=("shop.service",))["shop.service"] == "not found"
