"""Delta debugging against brute force: what it finds suffices, and nothing in it can be left out."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from redrill.minimise.minimising import ExhaustedError, minimise

MOST = 6
SUBSETS = [frozenset(i for i in range(MOST) if number >> i & 1) for number in range(2**MOST)]
TREES = {0: (10, 11), 1: (12,), 11: (20, 21, 22), 3: (13, 14)}
LEAVES = {0: {10, 20, 21, 22}, 1: {12}, 2: {2}, 3: {13, 14}, 11: {20, 21, 22}}


def one_smaller(pieces: frozenset[int]) -> list[frozenset[int]]:
    return [pieces - {piece} for piece in pieces]


@st.composite
def questions(draw: st.DrawFn) -> Callable[[frozenset[int]], bool]:
    """Any question at all that the whole set answers with yes: more may be worse than fewer."""
    answers = draw(st.integers(0, 2 ** len(SUBSETS) - 1))
    good = {subset for index, subset in enumerate(SUBSETS) if answers >> index & 1} | {frozenset(range(MOST))}
    return lambda pieces: pieces in good


@given(questions())
def test_what_is_found_suffices_and_no_single_piece_can_be_left_out(question: Callable[[frozenset[int]], bool]) -> None:
    found = minimise(range(MOST), question)
    chosen = frozenset(found.pieces)
    assert found.is_minimal
    assert question(chosen)
    assert not any(map(question, one_smaller(chosen)))


@given(st.sets(st.frozensets(st.integers(0, MOST - 1)), min_size=1))
def test_where_more_is_never_worse_it_is_one_of_the_smallest_by_brute_force(enough: set[frozenset[int]]) -> None:
    def question(pieces: frozenset[int]) -> bool:
        return any(each <= pieces for each in enough)

    smallest = {each for each in enough if not any(other < each for other in enough)}
    assert frozenset(minimise(range(MOST), question).pieces) in smallest


@given(st.frozensets(st.integers(0, 39)))
def test_what_is_needed_is_found_exactly_and_nothing_is_asked_twice(needed: frozenset[int]) -> None:
    asked: list[frozenset[int]] = []

    def question(pieces: frozenset[int]) -> bool:
        asked.append(pieces)
        return needed <= pieces

    assert frozenset(minimise(range(40), question).pieces) == needed
    assert len(asked) == len(set(asked))


@given(st.frozensets(st.sampled_from(sorted(set().union(*LEAVES.values())))))
def test_what_is_needed_is_found_in_the_depth_of_a_tree(needed: frozenset[int]) -> None:
    def question(pieces: frozenset[int]) -> bool:
        return needed <= {leaf for piece in pieces for leaf in LEAVES.get(piece, {piece})}

    found = minimise(range(4), question, lambda piece: TREES.get(piece, ()))
    assert frozenset(found.pieces) == needed


@given(questions(), st.integers(0, 30))
def test_a_search_without_budget_returns_what_suffices_all_the_same(
    question: Callable[[frozenset[int]], bool], budget: int
) -> None:
    left = budget

    def ask(pieces: frozenset[int]) -> bool:
        nonlocal left
        if left == 0:
            raise ExhaustedError
        left -= 1
        return question(pieces)

    found = minimise(range(MOST), ask)
    assert question(frozenset(found.pieces))
    assert found == minimise(range(MOST), question) or not found.is_minimal


def test_parts_that_do_not_do_what_the_whole_does_are_not_looked_at() -> None:
    found = minimise(
        "abc", lambda pieces: "b" in pieces, lambda piece: [f"{piece}1", f"{piece}2"][: 2 * (piece in "abc")]
    )
    assert (found.pieces, found.is_minimal) == (("b",), True)
