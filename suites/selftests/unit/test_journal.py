"""The journal: append-only, chained, readable again."""

import threading
from pathlib import Path

import pytest

from redrill.drill.journal import Journal, read_journal


def test_events_come_back_in_their_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.write("intent", "web-1", step="redeploy")
    journal.write("outcome", "web-1", step="redeploy", outcome="done")
    assert [event["event"] for event in read_journal(tmp_path / "journal.jsonl")] == ["intent", "outcome"]


def test_a_journal_that_is_opened_again_goes_on_with_its_chain(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.jsonl").write("first")
    Journal(tmp_path / "journal.jsonl").write("second")
    assert len(read_journal(tmp_path / "journal.jsonl")) == 2


@pytest.mark.parametrize("harm", ["drop", "alter", "swap"])
def test_a_forged_journal_is_noticed(tmp_path: Path, harm: str) -> None:
    file = tmp_path / "journal.jsonl"
    journal = Journal(file)
    for number in range(4):
        journal.write("event", number=number)
    lines = file.read_text().splitlines()
    if harm == "drop":
        del lines[1]
    elif harm == "alter":
        lines[1] = lines[1].replace('"number": 1', '"number": 7')
    else:
        lines[1], lines[2] = lines[2], lines[1]
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match="the chain is broken"):
        read_journal(file)


def test_many_threads_write_one_chain(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    threads = [threading.Thread(target=lambda: [journal.write("event") for _ in range(20)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_journal(tmp_path / "journal.jsonl")) == 100


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.jsonl").write("event")
    assert (tmp_path / "journal.jsonl").stat().st_mode & 0o777 == 0o600
