"""Waivers that no longer hold: what they once accepted is judged again, or somebody above has to hear of them."""

from selftests.support.planting import fault

_TERMS = {"owner": "ana", "ticket": "OPS-7", "reason": "moves to /var with the next image"}
_LEAK = "echo 8080 >/opt/port"

OF_WAIVERS = (
    fault(
        "the waiver of a leak has expired",
        "web-1",
        "nothing_leaks",
        "What is accepted for now must not become what is accepted for ever.",
        _LEAK,
        waivers={
            "old-port": {"match": {"subject": "/opt/**"}, "endpoints": ["web-1"], "expires": "2026-01-31", **_TERMS},
        },
    ),
    fault(
        "a waiver was put off again and again",
        "kv-1",
        "waivers_are_in_order",
        "The leak itself is waived; that nobody mends it is the finding.",
        _LEAK,
        waivers={
            "ever-port": {
                "match": {"subject": "/opt/**"},
                "endpoints": ["kv-*"],
                "expires": "2999-12-31",
                "extended": 3,
                **_TERMS,
            },
        },
    ),
    fault(
        "a waiver for another endpoint covers nothing here",
        "db-1",
        "nothing_leaks",
        "A waiver accepts what it names, where it names it, and nothing else.",
        _LEAK,
        waivers={
            "sink-port": {"match": {"subject": "/opt/**"}, "endpoints": ["logs-1"], "expires": "2999-12-31", **_TERMS},
        },
    ),
)
