"""What runs on an endpoint to keep numbered writes, by kind: shell that makes room, stores, lists and removes them."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redrill.model.canary import (
    HIDDEN_FOLDER,
    AppendCanary,
    Canary,
    CommandCanary,
    PostgresqlCanary,
    RedisCanary,
    RenameCanary,
    SqliteCanary,
)

WRITE_SECONDS = 20
"""How long one write may take; a frozen server must not hold its writer for ever."""

_KEY = "redrill-canary"
_CREATE = "CREATE TABLE IF NOT EXISTS redrill_canary (number bigint PRIMARY KEY, line text NOT NULL)"
_INSERT = "INSERT INTO redrill_canary VALUES ($number, '$line')"
_SELECT = "SELECT line FROM redrill_canary ORDER BY number"
_DROP = "DROP TABLE IF EXISTS redrill_canary"

_LOOP = """
while read -r number rest; do
  line="$number $rest" durable= why=
  {writes}
  [ -z "$why" ] || why=$(printf %s "$why" | tr '\\n' ' ')
  printf '%s%s;%s\\n' "$number" "$durable" "$why"
done
"""
_WRITE = 'if said=$( ( {write} ) 2>&1 >/dev/null </dev/null ); then durable="$durable {index}"; else why=$said; fi'

_PYTHON = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=10); "
    "c.executescript(sys.argv[2]) if len(sys.argv) > 3 else [print(*r) for r in c.execute(sys.argv[2])]"
)


@dataclass(frozen=True, slots=True)
class Program:
    """Shell for one canary; ``write`` stores ``$line``, which has ``$number``, and succeeds once it is durable."""

    write: str
    read: str
    prepare: str = ":"
    clear: str | None = None


def program_of(canary: Canary) -> Program:
    """Return the shell that keeps the writes of a canary."""
    return _PROGRAMS[type(canary)](canary)


def loop_of(canaries: Sequence[Canary]) -> str:
    """Return a loop that stores each line of its input with every canary, and answers each with one line of its own.

    That is 'NUMBER INDEX … ;WHY': the indexes of the canaries for which it is durable, and why it is not for another.
    """
    programs = (program_of(canary) for canary in canaries)
    writes = (_WRITE.format(write=program.write, index=index) for index, program in enumerate(programs))
    return _LOOP.replace("{writes}", "\n  ".join(writes))


def _append(canary: AppendCanary) -> Program:
    folder, file = _places(canary)
    return Program(
        prepare=f"{_make(folder)} && : >{file} && sync {file} {folder}",
        write=f"printf '%s\\n' \"$line\" >>{file} && sync {file}",
        read=f"[ ! -e {file} ] || cat {file}",
        clear=_remove(folder, file, other="rename"),
    )


def _rename(canary: RenameCanary) -> Program:
    folder, file = _places(canary)
    aside = f"{file}.new"
    store = f"umask 077 && printf '%s\\n' \"$line\" >{aside} && sync {aside}"
    return Program(
        prepare=f"{_make(folder)} && rm -f {aside} {file}",
        write=f"{store} && mv -f {aside} {file} && sync {folder}",
        read=f"[ ! -e {file} ] || cat {file}",
        clear=_remove(folder, f"{file} {aside}", other="append"),
    )


def _places(canary: AppendCanary | RenameCanary) -> tuple[str, str]:
    """Return the hidden folder of a canary and its file, as words of the shell."""
    folder = f'"${{ROOT-}}"{shlex.quote(canary.folder.rstrip("/") + "/" + HIDDEN_FOLDER)}'
    return folder, f"{folder}/{canary.kind}"


def _make(folder: str) -> str:
    return f"umask 077 && {{ [ -d {folder} ] || mkdir {folder}; }}"


def _remove(folder: str, files: str, other: str) -> str:
    """Return what removes files, and their folder unless the other canary is still in it."""
    return f"rm -f {files} && {{ [ ! -d {folder} ] || [ -e {folder}/{other} ] || rmdir {folder}; }}"


def _postgresql(canary: PostgresqlCanary) -> Program:
    given = {"-d": canary.database, "-U": canary.user, "-h": canary.host, "-p": canary.port}
    words = ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1"]
    words += [word for flag, value in given.items() if value is not None for word in (flag, str(value))]
    client = f"timeout {WRITE_SECONDS} {shlex.join(words)}"
    if canary.run_as:
        client = f"runuser -u {shlex.quote(canary.run_as)} -- {client}"
    if canary.passfile:
        client = f'PGPASSFILE="${{ROOT-}}"{shlex.quote(canary.passfile)} {client}'
    # Else a server says by a notice that a table is there already, or is not.
    ask = f"PGOPTIONS='-c client_min_messages=warning' {client}"
    return Program(
        prepare=f'{ask} -c "{_DROP}" -c "{_CREATE}"',
        write=f'{ask} -c "{_INSERT}"',
        # What the backup did not hold must read as nothing, not as an error.
        read=f'{ask} -c "{_CREATE}" -c "{_SELECT}"',
        clear=f'{ask} -c "{_DROP}"',
    )


def _redis(canary: RedisCanary) -> Program:
    given = {"-n": canary.database, "-h": canary.host, "-p": canary.port}
    words = ["redis-cli", *(word for flag, value in given.items() if value is not None for word in (flag, str(value)))]
    client = f"timeout {WRITE_SECONDS} {shlex.join(words)}"
    if canary.password_file:
        client = f'REDISCLI_AUTH="$(cat "${{ROOT-}}"{shlex.quote(canary.password_file)})" {client}'
    # redis-cli ends with 0 when the server answers with an error, and says it on standard output.
    is_up = f'said=$({client} PING) && [ "$said" = PONG ] || {{ echo "$said" >&2; exit 1; }}'
    expect = 'case $said in [0-9]*) ;; *) echo "$said" >&2; exit 1 ;; esac'
    return Program(
        prepare=f"said=$({client} DEL {_KEY}) && {expect}",
        write=f'said=$({client} HSET {_KEY} "$number" "$line") && {expect}',
        read=f"{is_up}; {client} HVALS {_KEY} | sort -n",
        clear=f"said=$({client} DEL {_KEY}) && {expect}",
    )


def _sqlite(canary: SqliteCanary) -> Program:
    file = f'"${{ROOT-}}"{shlex.quote(canary.path)}'
    there = f"[ -s {file} ]"

    def change(statements: str) -> str:
        cli = f"timeout {WRITE_SECONDS} sqlite3 -bail -cmd '.timeout 10000' {file} \"{statements}\""
        python = f'timeout {WRITE_SECONDS} python3 -c {shlex.quote(_PYTHON)} {file} "{statements}" change'
        return f"if command -v sqlite3; then {cli}; else {python}; fi >/dev/null"

    def ask(query: str) -> str:
        cli, python = f'sqlite3 -bail {file} "{query}"', f'python3 -c {shlex.quote(_PYTHON)} {file} "{query}"'
        return f"if command -v sqlite3 >/dev/null; then {cli}; else {python}; fi"

    return Program(
        prepare=f"{there} || {{ echo {shlex.quote(canary.path)} is no database >&2; exit 1; }}\n"
        + change(f"{_DROP}; {_CREATE};"),
        write=change(f"{_INSERT};"),
        read=f"! {there} || {{ {change(_CREATE + ';')} && {ask(_SELECT)}; }}",
        clear=f"! {there} || {{ {change(_DROP + ';')}; }}",
    )


def _command(canary: CommandCanary) -> Program:
    given = 'export REDRILL_CANARY="$number" REDRILL_CANARY_LINE="$line"'
    return Program(
        write=f"{given}; timeout {WRITE_SECONDS} sh -c {shlex.quote(canary.write)}",
        read=canary.read,
        clear=canary.clear,
    )


_PROGRAMS: dict[type[Any], Callable[[Any], Program]] = {
    AppendCanary: _append,
    RenameCanary: _rename,
    PostgresqlCanary: _postgresql,
    RedisCanary: _redis,
    SqliteCanary: _sqlite,
    CommandCanary: _command,
}
