"""Answers of packaging systems, read as real tools printed them."""

import pytest

from redrill.model.vendor import DeviationKind
from redrill.probes.vendor.alternatives import parse_alternatives
from redrill.probes.vendor.ostree import OstreeOracle, find_unlocked, read_deployment
from redrill.probes.vendor.protocol import SECTION, Answer, sections
from selftests.support.recorded import recorded

COMMIT = "b9bcf29f63fa6b3474c64322ed7aa958610909ed715f7ce3992ed33e87e61d0f"
PAGER = """\x1c/var/lib/dpkg/alternatives/pager
MODE
/usr/bin/pager
pager.1.gz
/usr/share/man/man1/pager.1.gz

/bin/more
50
/usr/share/man/man1/more.1.gz
/usr/bin/less
77


"""


def alternatives(mode: str) -> dict[str, tuple[str, ...]]:
    return dict(parse_alternatives(PAGER.replace("MODE", mode).split("\n")))


def test_automatic_alternative_is_that_of_the_highest_priority() -> None:
    links = alternatives("auto")
    assert links["/etc/alternatives/pager"] == ("/usr/bin/less",)
    assert links["/etc/alternatives/pager.1.gz"] == ("",)  # the best one has no page
    assert links["/usr/bin/pager"] == ("/etc/alternatives/pager",)


def test_manual_alternative_may_be_any_that_is_registered() -> None:
    assert alternatives("manual")["/etc/alternatives/pager"] == ("/usr/bin/less", "/bin/more")


def test_files_of_the_database_follow_each_other() -> None:
    text = PAGER.replace("MODE", "auto") + PAGER.replace("MODE", "auto").replace("pager", "editor")
    assert {"/etc/alternatives/pager", "/etc/alternatives/editor"} <= dict(parse_alternatives(text.split("\n"))).keys()
    assert dict(parse_alternatives([])) == {}


def answer(status: str, files: str = "", bootc: str = "") -> str:
    parts = {"status": status, "bootc": bootc, "files": files}
    return "".join(f"{SECTION}{name}\n{body}" + ("\n" if body else "") for name, body in parts.items())


def test_recorded_deployment_is_read() -> None:
    assert read_deployment(recorded("ostree/admin-status").stdout.splitlines()) == ("drill", COMMIT)


def test_booted_deployment_counts_and_not_the_pending_one() -> None:
    lines = [f"  drill {'a' * 64}.0 (pending)", f"* drill {COMMIT}.0", f"  drill {'c' * 64}.0 (rollback)"]
    assert read_deployment(lines) == ("drill", COMMIT)


def test_system_without_a_deployment_is_not_understood() -> None:
    with pytest.raises(LookupError, match="names no deployment"):
        read_deployment(["No deployments."])


def test_recorded_differences_have_the_categories_of_ostree() -> None:
    status, diff = recorded("ostree/admin-status").stdout.rstrip("\n"), recorded("ostree/diff-usr").stdout
    facts = OstreeOracle().hear(Answer(answer(status, "-00755 0 0      4 /usr/bin/app"), diff))
    found = {(each.path, each.kind) for each in facts.deviations}
    assert found == {("/usr/bin/app", DeviationKind.MODIFIED), ("/usr/bin/extra", DeviationKind.EXTRA)}
    assert (facts.owner_of("/usr/bin/app"), facts.owner_of("/usr/bin/extra")) == (f"drill {COMMIT[:12]}", None)


def test_listing_that_is_none_is_refused() -> None:
    status = recorded("ostree/admin-status").stdout.rstrip("\n")
    with pytest.raises(ValueError, match="no entry"):
        OstreeOracle().hear(Answer(answer(status, "error: no such commit")))


@pytest.mark.parametrize(
    ("status", "bootc", "words"),
    [
        ("    Unlocked: hotfix", "", "unlocked (hotfix)"),
        ("", '{"status": {"usrOverlay": {"accessMode": "readWrite"}}}', "writable overlay"),
        ("", '{"status": {"usrOverlay": null}}', ""),
        ("    Version: 1.0", "", ""),
    ],
)
def test_writable_usr_is_no_deployment_any_more(status: str, bootc: str, words: str) -> None:
    assert words in find_unlocked([status], bootc)
    assert bool(find_unlocked([status], bootc)) is bool(words)


def test_parts_of_an_answer_are_told_apart() -> None:
    text = f"{SECTION}one\na\nb\n{SECTION}empty\n{SECTION}last\nc"
    assert sections(text) == {"one": ["a", "b"], "empty": [], "last": ["c"]}
