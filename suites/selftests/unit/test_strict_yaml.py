from typing import Any

import pytest

from redrill.errors import FleetError
from redrill.model.strict_yaml import MAX_BYTES, MAX_DEPTH, MAX_NODES, Document, Mark, Mistake, parse_yaml, render_path


def read(text: str | bytes) -> Document:
    return parse_yaml(text if isinstance(text, bytes) else text.encode(), "fleet.yml")


def refusal_of(text: str | bytes) -> str:
    with pytest.raises(FleetError) as caught:
        read(text)
    (mistake,) = caught.value.mistakes
    return mistake


def mistakes_of(text: str) -> list[str]:
    return [mistake.render("fleet.yml") for mistake in read(text).mistakes]


@pytest.mark.parametrize(
    ("word", "meaning"),
    [("null", None), ("~", None), ("", None), ("true", True), ("false", False), ("0", 0), ("-7", -7), ("22", 22)],
)
def test_null_truth_and_decimal_numbers_are_read_as_such(word: str, meaning: Any) -> None:
    value = read(f"a: {word}").data["a"]
    assert (value, type(value)) == (meaning, type(meaning))


@pytest.mark.parametrize(
    "word",
    [
        *("yes", "No", "on", "off", "y", "True", "NULL", "010", "0o10", "0x1f", "0b1", "1_000", "12:30", "190:20:30"),
        *("1.5", "1e3", ".inf", ".nan", "2026-11-22"),
        *("2026-11-22T12:00:00Z", "2026.11", "+5", "9" * 19, "9" * 5000, "="),
    ],
)
def test_every_other_word_stays_text(word: str) -> None:
    assert read(f"a: {word}").data["a"] == word


def test_quoted_words_are_text() -> None:
    assert read("""a: ["22", 'true', "null", '']""").data["a"] == ["22", "true", "null", ""]


def test_keys_are_always_text() -> None:
    assert read("{12: a, true: b, null: c}").data == {"12": "a", "true": "b", "null": "c"}


def test_every_value_and_every_key_has_its_place() -> None:
    document = read("a: 1\nb:\n  - x\n  - {c: y}\n")
    assert document.values[("b", 1, "c")] == Mark(4, 9)
    assert document.keys[("b", 1, "c")] == Mark(4, 6)
    assert document.values[("b", 0)] == Mark(3, 5)


def test_a_duplicate_key_names_both_places() -> None:
    assert mistakes_of("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n") == [
        "fleet.yml:5:1: the key 'a' was given before, at 1:1; keep one of the two.",
        "fleet.yml:4:3: the key 'c' was given before, at 3:3; keep one of the two.",
    ]


def test_merge_keys_bring_in_what_the_mapping_does_not_say_itself() -> None:
    document = read("base: &base {x: 1, y: 2}\nother: &other {y: 3, z: 4}\na: {y: 0, <<: [*base, *other]}\n")
    assert document.data["a"] == {"x": 1, "y": 0, "z": 4}


def test_what_a_merge_key_brings_in_keeps_the_place_where_it_stands() -> None:
    assert read("base: &base {x: 1}\na: {<<: *base}\n").values[("a", "x")] == Mark(1, 17)


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    assert read("a: {'<<': 1}").data == {"a": {"<<": 1}}


def test_a_merge_of_something_else_than_mappings_is_a_mistake() -> None:
    assert mistakes_of("a: {<<: 1}") == ["fleet.yml:1:9: '<<' merges mappings only; name the alias of a mapping."]


@pytest.mark.parametrize("tag", ["!!python/object:os.system", "!!python/name:os.system", "!!int", "!mine", "!!binary"])
def test_tags_are_refused(tag: str) -> None:
    (mistake,) = mistakes_of(f"a: {tag} x\n")
    assert mistake.startswith("fleet.yml:1:4: the tag '")


def test_a_mapping_as_a_key_is_a_mistake() -> None:
    assert mistakes_of("? {a: b}\n: c\n") == ["fleet.yml:1:3: a key must be a word, not a list or a mapping."]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1, 2", "1:9"),
        ("a: b: c", "1:5"),
        ("a: *nobody", "1:4"),
        ("a: 1\n---\nb: 2", "2:1"),
        ("a:\n\t- b", "2:1"),
        ('a: "\\q"', "1:6"),
        ('a: "\\UFFFFFFFF"', "1:7"),
        ("%YAML 3.0\n---\na: 1", "1:1"),
    ],
)
def test_broken_yaml_is_refused_with_its_place(text: str, place: str) -> None:
    assert refusal_of(text).startswith(f"fleet.yml:{place}: this is not YAML that can be read: ")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_refused_with_the_way_out(encoding: str) -> None:
    assert "save it as UTF-8" in refusal_of("fleet: shop\n".encode(encoding))


def test_a_latin_1_byte_is_named_with_its_place() -> None:
    mistake = refusal_of("a: 1\nb: é\n".encode("latin-1"))
    assert mistake.startswith("fleet.yml:2:4: the byte 0xe9 is not UTF-8")


def test_utf_16_without_a_mark_is_guessed() -> None:
    assert "is not UTF-8 (UTF-16, perhaps)" in refusal_of("b: é\n".encode("utf-16-le"))


def test_a_mistake_is_one_line_that_paints_nothing() -> None:
    (told,) = mistakes_of('"a\\e[2J\\n\\u202e": 1\n"a\\e[2J\\n\\u202e": 2\n')
    assert told.isprintable()
    assert Mistake(Mark(1, 1), ("\x1b[2J",), "a\nb\u202e").render("f") == r"f:1:1: '\x1b[2J': a\nb\u202e"


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert read("\ufeffa: 1").data == {"a": 1}


def test_a_nul_is_refused_with_its_place() -> None:
    assert refusal_of("a: 1\nb: x\0\n").startswith("fleet.yml:2:5: the character U+0000 is not allowed")


@pytest.mark.parametrize("escape", ["\\0", "\\ud800", "\\x00"])
def test_an_escaped_character_that_cannot_be_stored_is_a_mistake(escape: str) -> None:
    (mistake,) = mistakes_of(f'a: "x{escape}"')
    assert mistake.startswith("fleet.yml:1:4: a: the character U+")


def test_a_file_that_is_too_large_is_refused_unread() -> None:
    assert "larger than" in refusal_of(b"[" * (MAX_BYTES + 1))


def test_deep_nesting_is_refused() -> None:
    assert "nested deeper" in refusal_of("[" * 100_000)


def test_nesting_up_to_the_limit_is_read() -> None:
    assert read("[" * MAX_DEPTH + "]" * MAX_DEPTH).data


def test_a_file_of_too_many_values_is_refused() -> None:
    assert "more than" in refusal_of("[" + "a," * (MAX_NODES + 1) + "]")


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert "aliases expand to more than" in refusal_of("\n".join(lines))


def test_a_bomb_of_merge_keys_is_refused() -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 10)]
    assert "aliases expand to more than" in refusal_of("\n".join(lines))


def test_a_bomb_of_aliased_duplicate_keys_is_refused() -> None:
    text = "a: &a {" + "k: 1, " * 5000 + "}\nb: [" + "*a, " * 5000 + "]\n"
    assert "aliases expand to more than" in refusal_of(text)


def test_a_long_chain_of_merge_keys_is_refused() -> None:
    chain = "\n".join(["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: *a{n - 1}}}" for n in range(1, 2000))])
    assert "nest values deeper" in refusal_of(chain)


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a {<<: *a}", "&a {<<: [*a], b: 1}"])
def test_what_contains_itself_is_refused(text: str) -> None:
    assert "contains itself" in refusal_of(text)


@pytest.mark.parametrize(
    ("path", "words"),
    [(("a", "b-1", 0, "c"), "a.b-1[0].c"), (("a", "b c"), "a.'b c'"), ((0,), "[0]"), (("a", ""), "a.''")],
)
def test_paths_are_written_as_people_write_them(path: tuple[str | int, ...], words: str) -> None:
    assert render_path(path) == words
