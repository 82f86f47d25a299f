"""The ledger: where every path comes back from after a redeploy."""

from redrill.analysis.ledger import PathClass, classify, read_path_rules, tell_size, users_of
from redrill.model.manifest import Entry, EntryKind


def entry(path: str, kind: EntryKind = EntryKind.FILE, size: int = 0, mode: int = 0o644) -> Entry:
    return Entry(path, kind, mode, 0, 0, size=size)


def folder(path: str) -> Entry:
    return entry(path, EntryKind.DIRECTORY, mode=0o755)


def classes_of(*paths: str, vendor: tuple[str, ...] = (), ephemeral: tuple[str, ...] = ()) -> dict[str, PathClass]:
    ledgers = {path: classify([entry(path)], [], lambda each: each.path in vendor, ephemeral) for path in paths}
    return {path: next(iter(next(iter(ledger.totals.values())))) for path, ledger in ledgers.items()}


def test_what_nobody_accounts_for_leaks() -> None:
    assert classes_of("/opt/a", "/usr/bin/b", vendor=("/usr/bin/b",)) == {
        "/opt/a": PathClass.LEAK,
        "/usr/bin/b": PathClass.VENDOR,
    }


def test_what_is_declared_ephemeral_does_not_leak_but_its_neighbour_does() -> None:
    found = classes_of("/opt/cache/a/b", "/opt/cached", ephemeral=("/opt/cache/**",))
    assert found == {"/opt/cache/a/b": PathClass.EPHEMERAL, "/opt/cached": PathClass.LEAK}


def test_bytecode_and_lost_and_found_are_ephemeral_without_being_declared() -> None:
    assert set(classes_of("/lost+found", "/usr/local/lib/x/__pycache__/y.pyc").values()) == {PathClass.EPHEMERAL}


def test_a_tree_that_leaks_is_one_leak_even_beside_a_name_that_sorts_into_it() -> None:
    found = [
        entry("/opt/app-2"),
        entry("/opt/app/run", size=10, mode=0o755),
        folder("/opt/app"),
        entry("/opt/app/z", size=5),
    ]
    ledger = classify(found, [], lambda _: False, ())
    assert [(leak.path, leak.entries, leak.size, leak.executables) for leak in ledger.leaks] == [
        ("/opt/app", 3, 15, 1),
        ("/opt/app-2", 1, 0, 0),
    ]


def test_a_leak_inside_a_vendors_folder_is_told_by_its_own_path() -> None:
    found = [folder("/opt"), folder("/opt/a"), entry("/opt/a/x"), entry("/opt/b")]
    assert [leak.path for leak in classify(found, [], lambda each: each.path == "/opt", ()).leaks] == [
        "/opt/a",
        "/opt/b",
    ]


def test_state_paths_are_kept() -> None:
    ledger = classify([], [entry("/etc/a", size=7), entry("/etc/b", size=1), entry("/var/c")], lambda _: False, ())
    assert ledger.totals == {"/etc": {PathClass.KEPT: (2, 8)}, "/var": {PathClass.KEPT: (1, 0)}}
    assert "/etc" in ledger.table()
    assert "2, 8 B" in ledger.table()


def test_users_of_a_leak_are_those_of_anything_in_it() -> None:
    leak = classify([folder("/opt/a"), entry("/opt/a/x")], [], lambda _: False, ()).leaks[0]
    assert users_of(leak, {"/opt/a/x": "feed (feed.service)", "/opt/ab": "other"}) == "feed (feed.service)"


def test_generated_rules_for_folders_cover_no_file() -> None:
    rules = [rule for rule in read_path_rules("generated") if rule.path == "/usr/local/*"]
    assert [rule.covers(folder("/usr/local/bin")) for rule in rules] == [True]
    assert [rule.covers(entry("/usr/local/notes")) for rule in rules] == [False]


def test_every_rule_has_a_reason_and_an_absolute_path() -> None:
    for name in ("ephemeral", "generated"):
        assert all(rule.reason and rule.path.startswith("/") for rule in read_path_rules(name))


def test_sizes_are_told_in_decimal_units() -> None:
    assert [tell_size(size) for size in (0, 999, 1000, 1_234_567, 5 * 10**12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.2 MB",
        "5.0 TB",
    ]
