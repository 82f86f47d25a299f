"""Databases whose backup is what a crash would have left: how they recover from it, and what is told when they do not.

PostgreSQL is halted for its backup; of Redis, whose log only grows, the running server is backed up. Both are busy.
"""

from collections.abc import Iterator

import pytest

from redrill.model.fleet import Fleet
from selftests.support.drills import Drilled, drill_changed
from selftests.support.labs import run_on, running_lab
from selftests.support.planting import at_boot
from selftests.system.faults_of_recovery import CLUSTER

TABLE = "CREATE TABLE busy (n bigint)"
ROWS = "INSERT INTO busy SELECT generate_series(1, 1000)"
PSQL = "PGPASSFILE=/etc/shop/pgpass psql -qh 127.0.0.1 -U shop shop"
REDIS = "REDISCLI_AUTH=$(cat /etc/shop/redis-password) redis-cli -e -n 2"
LOAD = {"db-1": f"{PSQL} -c '{ROWS}'", "kv-1": f"{REDIS} INCR busy"}

DATABASES = (("db-1", "postgresql"), ("kv-1", "redis"))
WAYS = {
    "roles/db": {"churn": [f"{CLUSTER} mtime", f"{CLUSTER}/**"]},  # a replay writes wherever there was work
    "roles/db/applications/postgresql": {"quiesce": "freeze"},
    "roles/kv": {"churn": ["/var/lib/redis/** content", "/var/lib/redis/** mtime"]},
    "roles/kv/applications/redis": {"quiesce": "live"},
}
PROMISE = "test_application_recovers_from_a_crash_consistent_backup"

WITHOUT_ITS_LOG = f"rm -f {CLUSTER}/pg_wal/0*"
LOG = '"$(ls /var/lib/redis/appendonlydir/*.incr.aof | tail -n1)"'
WITH_A_PART_OF_IT = f"""
size=$(cat /etc/shop/size)
end=$(grep -abo redrill-canary {LOG} | awk -F: -v size="$size" '$1 > size' | sed -n '3s/:.*//p')
truncate -s "$end" {LOG}
"""


def drill_busy(fleet: Fleet, reports: str, rto: str = "2m") -> Drilled:
    """Drill both while they are written to as fast as they can."""
    for name, work in LOAD.items():
        run_on(fleet, name, f"setsid sh >/dev/null 2>&1 <<'END' &\nwhile {work}; do :; done\nEND")
    ways = {**WAYS, "endpoints/db-1": {"objectives": {"rto": rto}}}
    chosen = (f"--redrill-endpoint={name}" for name in LOAD)
    return drill_changed(fleet.source, ways, fleet.source.with_name(reports), *chosen)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_lab(tmp_path_factory.mktemp("crash"), "crash", "198.18.102") as fleet:
        run_on(fleet, "db-1", f"{PSQL} -c '{TABLE}'")
        yield fleet


@pytest.fixture(scope="module")
def busy(fleet: Fleet) -> Drilled:
    return drill_busy(fleet, "busy")


@pytest.fixture(scope="module")
def maimed(fleet: Fleet, busy: Drilled) -> Drilled:
    """The same, but an agent at boot takes from both what they need to recover before they start."""
    assert busy.folder
    run_on(fleet, "db-1", at_boot(WITHOUT_ITS_LOG, "Before=postgresql@15-main.service"))
    run_on(
        fleet, "kv-1", f"stat -c %s {LOG} >/etc/shop/size; " + at_boot(WITH_A_PART_OF_IT, "Before=redis-server.service")
    )
    return drill_busy(fleet, "maimed", rto="5s")


def test_busy_databases_recover_from_a_crash_consistent_backup(busy: Drilled) -> None:
    assert (busy.red, busy.status) == (set(), 0), busy.output[-6000:]
    for name, application in DATABASES:
        record = busy.records[name]
        assert record["snapshot"]["consistency"] == {application: "crash-consistent"}
        canary = record["canaries"][application]
        assert (canary["unknown"], canary["lost_before_backup"], canary["altered"]) == (None, [], [])
        assert canary["written"] > canary["survived"] > 0
        assert f"{PROMISE}[{name}-{application}]" in busy.tests("passed")
        assert f"test_no_acknowledged_write_is_lost[{name}-{application}]" in busy.tests("skipped")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("db-1", ("automatic recovery in progress", "redo starts at", "redo done at")),
        ("kv-1", ("DB loaded from append only file",)),
    ],
)
def test_the_record_shows_by_its_log_that_it_had_to_recover(busy: Drilled, name: str, words: tuple[str, ...]) -> None:
    said = busy.records[name]["recovery_log"]
    assert [word for word in words if not any(word in line for line in said)] == [], said
    # The log has been restored, too, and tells of earlier starts.
    assert len([line for line in said if words[-1] in line]) == 1, said


def test_that_a_backup_was_crash_consistent_is_told_in_words(busy: Drilled) -> None:
    assert busy.folder
    told = " ".join(busy.output.split())
    assert told.count("from a crash-consistent backup") == len(DATABASES), busy.output[-6000:]
    assert (busy.folder / "summary.md").read_text().count("| crash-consistent |") == len(DATABASES)


def test_what_a_store_can_recover_a_part_of_turns_exactly_the_test_of_that_red(maimed: Drilled) -> None:
    assert {test for test in maimed.red if "[kv-1" in test} == {f"{PROMISE}[kv-1-redis]"}, maimed.output[-6000:]
    assert maimed.records["kv-1"]["applications"]["redis"]["healthy"]
    assert "application 'redis' did not recover from its crash-consistent backup (1):" in maimed.output
    assert "loaded anyway because aof-load-truncated is enabled" in maimed.output


def test_a_database_that_cannot_recover_turns_that_test_red_and_what_misses_the_server(maimed: Drilled) -> None:
    assert {test for test in maimed.red if "[db-1" in test} == {
        f"{PROMISE}[db-1-postgresql]",
        "test_application_is_healthy[db-1-postgresql]",
        "test_recovery_time_is_within_its_objective[db-1-postgresql]",
        "test_units_came_back[db-1]",
        "test_no_unit_has_failed[db-1]",
        "test_network_came_back[db-1]",
    }, maimed.output[-6000:]
    assert "could not locate a valid checkpoint record" in maimed.output
    assert maimed.status == 1
