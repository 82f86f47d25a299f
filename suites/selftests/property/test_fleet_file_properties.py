"""Whatever a fleet file holds, the answer is a fleet or a list of mistakes with their places."""

import re
from pathlib import Path

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from redrill.errors import FleetError
from redrill.model.fleet import Fleet
from redrill.model.folding import ADDITIVE, BACKEND_GROUPS, Layer, fold
from redrill.model.strict_yaml import parse_yaml
from selftests.fleet_samples import SOURCE, parse

SAMPLE = (Path(__file__).parents[3] / "fixtures" / "fleets" / "shop-staging.yml").read_bytes()
PLACED = re.compile(re.escape(f"{SOURCE}") + r":[1-9]\d*:[1-9]\d*: \S", re.DOTALL)
WORDS = st.sampled_from(
    [
        "web-1",
        "web",
        "tar",
        "nspawn",
        "tree",
        "10.0.0.1",
        "5m",
        "root",
        "kind",
        "<<",
        "null",
        "022",
        "yes",
        "~",
        "~x/y",
        "",
    ]
)
KEYS = st.sampled_from(
    [
        *("fleet", "endpoints", "roles", "defaults", "web-1", "role", "address", "ssh", "port", "user", "key", "image"),
        *("name", "version", "provisioner", "repository", "log_sink", "kind", "directory", "tags", "applications"),
        *("http", "churn", "ignore", "subject", "reason"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), below, max_size=5),
    max_leaves=25,
)
LAYERS = st.dictionaries(KEYS, VALUES, max_size=6)
FILES = st.fixed_dictionaries(
    {"fleet": st.just("shop"), "endpoints": st.dictionaries(WORDS, LAYERS | VALUES, max_size=3)},
    optional={"roles": st.dictionaries(WORDS, LAYERS, max_size=2), "defaults": LAYERS | VALUES},
)
YAML_BITS = st.sampled_from(
    [*"a[]{},|>'\"!#@`%1é", ": ", "- ", "? ", "\n", "  ", "\t", "\r\n", "\x85", "\u2028", "\ufeff", "&a ", "*a", "<<: "]
) | st.sampled_from(
    [
        "fleet: shop\n",
        "endpoints:\n",
        "  web-1: ",
        "!!str ",
        "\\x00",
        "\\ud800",
        "\\U00110000",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "%TAG ! x\n",
        "null",
    ]
)

BOUNDED = settings(deadline=20_000)
"""Milliseconds an example: far above what a loaded machine needs, far below what a bomb takes."""


def outcome_of(text):
    try:
        return parse(text)
    except FleetError as error:
        return error


def check(text):
    """Hold the law: a fleet with endpoints, or mistakes that differ and have places."""
    outcome = outcome_of(text)
    if isinstance(outcome, FleetError):
        assert outcome.mistakes
        assert len(set(outcome.mistakes)) == len(outcome.mistakes)
        assert [mistake for mistake in outcome.mistakes if not PLACED.match(mistake)] == []
    else:
        assert isinstance(outcome, Fleet)
        assert outcome.endpoints


@BOUNDED
@given(st.binary(max_size=400))
@example(b"\xff\xfe\x00\x00")
@example(b"\xef\xbb\xbf\xff")
def test_any_bytes_are_a_fleet_or_mistakes(data):
    check(data)


@BOUNDED
@given(st.text(max_size=400))
@example("'\x85")
@example("fleet: shop\nendpoints: {a: {role: []}, b: {address: x, ssh: {port: []}}}")
def test_any_text_is_a_fleet_or_mistakes(text):
    check(text)


@settings(BOUNDED, max_examples=400)
@given(st.lists(YAML_BITS, max_size=40).map("".join))
@example('"\\U00110000"')
@example("%YAML " + "9" * 5000 + ".1\n---\na")
def test_any_heap_of_yaml_is_a_fleet_or_mistakes(text):
    check(text)


@settings(BOUNDED, max_examples=400)
@given(FILES | VALUES)
def test_any_data_is_a_fleet_or_mistakes(data):
    check(yaml.safe_dump(data, allow_unicode=True).encode("utf-8", "surrogatepass"))


@settings(BOUNDED, max_examples=100)
@given(st.integers(0, len(SAMPLE) - 1), st.binary(max_size=2), st.integers(0, 3))
def test_a_damaged_file_is_a_fleet_or_mistakes(at, instead, length):
    check(SAMPLE[:at] + instead + SAMPLE[at + length :])


@BOUNDED
@given(st.lists(LAYERS, min_size=1, max_size=4))
def test_folding_the_same_layer_again_changes_nothing(layers):
    once = fold([Layer(data, (index,)) for index, data in enumerate(layers)])
    again = fold([Layer(data, (index,)) for index, data in enumerate([*layers, once.data])])
    assert again.data == once.data


@BOUNDED
@given(st.lists(LAYERS, min_size=1, max_size=4))
def test_every_folded_value_is_what_stands_at_its_origin(layers):
    folded = fold([Layer(data, (index,)) for index, data in enumerate(layers)])

    def compare(value, path):
        if isinstance(value, dict):
            for key, below in value.items():
                compare(below, (*path, key))
            return
        if isinstance(value, list) and path[0] in ADDITIVE:
            for index, below in enumerate(value):
                compare(below, (*path, index))
            return
        origin = layers
        for part in folded.origin_of(path):
            origin = origin[part]
        assert origin == value or (origin != origin and value != value)  # noqa: PLR0124 - NaN equals nothing

    compare(folded.data, ())


RULES = st.lists(st.fixed_dictionaries({"subject": WORDS, "reason": WORDS}), max_size=4)


@BOUNDED
@given(
    st.lists(st.fixed_dictionaries({}, optional={"ignore": RULES, "churn": st.lists(WORDS)}), min_size=1, max_size=4)
)
def test_no_level_takes_back_a_rule_of_another(layers):
    folded = fold([Layer(data, (index,)) for index, data in enumerate(layers)])
    for key in ADDITIVE:
        given = [rule for layer in layers for rule in layer.get(key, ())]
        assert all(rule in folded.data.get(key, ()) for rule in given)
        assert all(rule in given for rule in folded.data.get(key, ()))


@BOUNDED
@given(st.lists(LAYERS, min_size=1, max_size=4))
def test_a_folded_backend_never_mixes_the_settings_of_two_kinds(layers):
    folded = fold([Layer(data, (index,)) for index, data in enumerate(layers)])
    for key in BACKEND_GROUPS:
        backend = folded.data.get(key)
        if isinstance(backend, dict) and "kind" in backend:
            sources = [layers[folded.origin_of((key, name))[0]][key] for name in backend]
            assert all(source.get("kind", backend["kind"]) == backend["kind"] for source in sources)


@BOUNDED
@given(st.dictionaries(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF), max_size=5), WORDS, max_size=5))
def test_what_is_dumped_with_quotes_is_read_back(data):
    assert parse_yaml(yaml.safe_dump(data, default_style='"').encode(), "x").data == data
