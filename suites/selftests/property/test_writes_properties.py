"""Numbered writes: a line is whole or it is not, and the loss is what a clock on the wall would have said."""

from datetime import UTC, datetime, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from redrill.model.canary import AppendCanary, CommandCanary, RenameCanary, StateClass
from redrill.model.writes import ReadBack, Write, make_line, measure, number_of, sort_out

RUN = "20260101T000000Z-0001"
START = datetime(2026, 1, 1, tzinfo=UTC)
APPEND = AppendCanary(kind="append", folder="/var/lib")
RENAME = RenameCanary(kind="rename", folder="/var/lib")
COMMAND = CommandCanary(write="w", read="r")
MOMENT = timedelta(milliseconds=1)
SECONDS = st.floats(0.001, 3.0)
GAPS = st.lists(SECONDS, min_size=1, max_size=30)


def line(number: int) -> str:
    return make_line(RUN, number, START, f"{number:032x}")


def written(gaps: list[float]) -> list[Write]:
    at, writes = START, []
    for number, gap in enumerate(gaps, 1):
        at += timedelta(seconds=gap)
        writes.append(Write(number, at))
    return writes


@given(st.integers(1, 10**13), st.data())
def test_a_line_is_whole_and_no_other_text_of_its_length_passes_for_it(number: int, data: st.DataObject) -> None:
    whole = line(number)
    assert number_of(RUN, whole) == number
    index = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:index] + data.draw(st.characters(codec="ascii")) + whole[index + 1 :]
    assume(changed != whole)
    assert number_of(RUN, changed) is None
    assert number_of(RUN, whole[:index]) is None
    assert number_of("another run", whole) is None


@given(GAPS, st.data(), SECONDS)
def test_the_loss_runs_from_the_last_survivor_to_the_outage(
    gaps: list[float], data: st.DataObject, rest: float
) -> None:
    writes = written(gaps)
    outage = writes[-1].acknowledged + timedelta(seconds=rest)
    kept = data.draw(st.integers(1, len(writes)))
    taken = writes[kept - 1].acknowledged
    result = measure(StateClass(APPEND, None), writes, ReadBack(frozenset(range(1, kept + 1))), taken, outage)
    expected = 0.0 if kept == len(writes) else (outage - taken).total_seconds()
    assert (result.loss, result.survived, result.lost_before_backup) == (expected, kept, ())
    assert result.last_survivor == taken


@given(GAPS, st.data())
def test_what_is_missing_from_before_the_backup_is_lost_data_whatever_came_back_after(
    gaps: list[float], data: st.DataObject
) -> None:
    writes = written(gaps)
    numbers = frozenset(data.draw(st.sets(st.integers(1, len(writes)))))
    safe = data.draw(st.integers(1, len(writes)))
    taken = writes[safe - 1].acknowledged
    result = measure(StateClass(APPEND, None), writes, ReadBack(numbers), taken, writes[-1].acknowledged + MOMENT)
    assert set(result.lost_before_backup) == set(range(1, safe + 1)) - numbers
    assert (result.loss == 0) is (len(numbers) == len(writes))


@given(GAPS, st.data())
def test_writes_after_the_outage_do_not_count(gaps: list[float], data: st.DataObject) -> None:
    writes = written(gaps)
    before = data.draw(st.integers(1, len(writes)))
    found, outage = ReadBack(frozenset(range(1, before + 1))), writes[before - 1].acknowledged
    result = measure(StateClass(APPEND, None), writes, found, START, outage)
    assert (result.written, result.loss) == (before, 0.0)


@given(GAPS, st.data())
def test_a_file_that_was_cut_while_it_grew_has_no_altered_write(gaps: list[float], data: st.DataObject) -> None:
    writes = written(gaps)
    text = "".join(f"{line(write.number)}\n" for write in writes)
    cut = text[: data.draw(st.integers(0, len(text)))]
    whole = cut.count("\n")
    taken = writes[whole - 1].acknowledged if whole else START
    found = sort_out(RUN, APPEND, cut, writes, taken)
    assert found.altered == frozenset()
    assert set(range(1, whole + 1)) <= found.numbers


@given(GAPS, st.data())
def test_a_line_that_was_changed_is_an_altered_write(gaps: list[float], data: st.DataObject) -> None:
    writes = written(gaps)
    lines = [line(write.number) for write in writes]
    victim = data.draw(st.integers(0, len(lines) - 1))
    at = data.draw(st.integers(0, len(lines[victim]) - 1))
    lines[victim] = lines[victim][:at] + "~" + lines[victim][at + 1 :]
    found = sort_out(RUN, APPEND, "".join(f"{each}\n" for each in lines), writes, START)
    assert found.altered
    assert victim + 1 not in found.numbers


@given(GAPS, st.data())
def test_a_file_that_is_replaced_as_a_whole_tells_of_all_before_it(gaps: list[float], data: st.DataObject) -> None:
    writes = written(gaps)
    last = data.draw(st.integers(1, len(writes)))
    found = sort_out(RUN, RENAME, f"{line(last)}\n", writes, START)
    assert (found.numbers, found.altered) == (frozenset(range(1, last + 1)), frozenset())
    torn = sort_out(RUN, RENAME, f"{line(last)[:-1]}\n", writes, START)
    assert (torn.numbers, torn.altered) == (frozenset(), {len(writes)})


@given(GAPS)
def test_numbers_alone_are_believed_of_commands_only_and_show_no_alteration(gaps: list[float]) -> None:
    writes = written(gaps)
    text = "".join(f"{write.number}\n" for write in writes)
    assert sort_out(RUN, COMMAND, text, writes, START) == ReadBack(
        frozenset(range(1, len(writes) + 1)), frozenset(), has_lines=False
    )
    assert sort_out(RUN, APPEND, text, writes, START).numbers == frozenset()


@given(GAPS)
def test_lines_of_an_earlier_drill_are_no_writes_of_this(gaps: list[float]) -> None:
    writes = [Write(write.number + 1000, write.acknowledged) for write in written(gaps)]
    old = "".join(make_line("earlier", number, START, "ab") + "\n" for number in range(1, 5))
    new = "".join(f"{line(write.number)}\n" for write in writes)
    found = sort_out(RUN, COMMAND, old + new, writes, START)
    assert (found.numbers, found.altered) == (frozenset(write.number for write in writes), frozenset())


@given(GAPS, st.sampled_from([APPEND, RENAME, COMMAND]))
def test_lines_of_an_earlier_drill_with_the_same_numbers_are_neither_writes_nor_wrecks(
    gaps: list[float], canary: AppendCanary | RenameCanary | CommandCanary
) -> None:
    writes = written(gaps)
    old = "".join(make_line("earlier", write.number, START, "ab") + "\n" for write in writes)
    assert sort_out(RUN, canary, old, writes, START) == ReadBack(frozenset())
