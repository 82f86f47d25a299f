"""Programs that redrill runs on the controller: they end in time, whatever they have started."""

import os
from pathlib import Path

import pytest

from redrill.errors import BackupError
from redrill.minimise.report import Part, Report
from redrill.model.deadline import Deadline
from redrill.model.secret import SecretValue
from redrill.repositories import tool
from redrill.repositories.tool import Ran, Tool
from redrill.secrets_source import reveal
from selftests.support.repository_makers import open_repository

STRAY = "setsid sh -c 'echo $$ >stray; exec sleep 600' &"
"""As restic's ssh: in another group, with standard output and error still open."""

REPORT = Report(endpoint="web-1", run="r", snapshot="s", image="i", applications=(), entries=1, size=1, trials=1)


def run(script: str, folder: Path, seconds: float) -> tool.Ran:
    program = folder / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    try:
        return Tool(str(program), "package", {}).run([], Deadline.after(seconds), folder)
    finally:
        stray = folder / "stray"
        if stray.exists():
            os.kill(int(stray.read_text()), 9)


def test_what_a_program_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    ran = run(f"{STRAY}\nwhile ! [ -s stray ]; do sleep 0.01; done; echo said; exit 3", tmp_path, 30)
    assert (ran.status, ran.stdout) == (3, b"said\n")


def test_a_program_that_must_be_killed_is_not_waited_for_with_its_strays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "_GRACE", 0.1)
    with pytest.raises(BackupError, match=r"program' did not end within 1 s"):
        run(f"{STRAY}\ntrap '' INT; while :; do sleep 0.1; done", tmp_path, 1)


def test_much_on_both_outputs_does_not_block_it(tmp_path: Path) -> None:
    ran = run("head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero", tmp_path, 60)
    assert (len(ran.stdout), len(ran.stderr)) == (3_000_000, 3_000_000)


def test_no_part_of_a_secret_is_left_where_words_are_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRILL_TEST_KEY", "sesame-sesame-open")
    secret = reveal(SecretValue(env="REDRILL_TEST_KEY"))
    said = f"{secret} {'x' * 992}"
    assert "open" not in Ran(1, b"", said.encode()).words
    longer = f"printf '%s %1990s' {secret} x >&2; false"
    repository = open_repository("command", tmp_path, snapshots=longer, open="false")
    with pytest.raises(BackupError, match="ended with status 1") as caught:
        repository.snapshots()
    assert "open" not in str(caught.value)
    part = Part(path="/etc/a", entries=1, size=1, trial=1, why=f"{'x' * 110} {secret}")
    (row,) = REPORT.model_copy(update={"needed": (part,)}).rows()
    assert "sesame" not in row[-1]
