"""What the three sides of /etc say, path by path, as findings of an endpoint."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest

from redrill.analysis.etc import EtcItem, find_items
from redrill.analysis.etc_diffs import render_items
from redrill.analysis.etc_sides import EtcSides
from redrill.drill.text_evidence import Texts
from redrill.model.manifest import Entry, EntryKind
from redrill.model.three_way import EtcKind
from redrill.model.vendor import Conffile, Expected, OracleState, VendorFacts

UNIT = "/usr/lib/systemd/system/shop.service"
OVERRIDE = "/etc/systemd/system/shop.service"
WANTS = "/etc/systemd/system/multi-user.target.wants"
KNOWN = {"dpkg": OracleState(is_known=True)}


def files(**contents: str) -> dict[str, Entry]:
    return tree({f"/etc/{name.replace('_', '.')}": text for name, text in contents.items()})


def tree(contents: Mapping[str, str]) -> dict[str, Entry]:
    """Return entries of files by path; what begins with '->' is a link, and '/' is a folder."""
    entries = {}
    for path, text in contents.items():
        if text.startswith("->"):
            entries[path] = Entry(path, EntryKind.SYMLINK, 0o777, 0, 0, target=text[2:])
        elif text == "/":
            entries[path] = Entry(path, EntryKind.DIRECTORY, 0o755, 0, 0)
        else:
            entries[path] = Entry(path, EntryKind.FILE, 0o644, 0, 0, sha256=text * 64)
    folders = {str(folder) for path in contents for folder in PurePosixPath(path).parents}
    return {path: Entry(path, EntryKind.DIRECTORY, 0o755, 0, 0) for path in folders} | entries


def sides(here: Mapping[str, Entry], **facts: Any) -> EtcSides:
    """Return the sides of an endpoint whose vendor knows nothing, but for what is said otherwise."""
    vendor = VendorFacts(states=KNOWN)
    return EtcSides(
        **{
            "here": here,
            "before": here,
            "running": None,
            "wanted": None,
            "old_vendor": facts.get("vendor", vendor),
            "vendor": vendor,
            "texts": Texts(),
            "versions": ({}, {}),
            "planted": frozenset(),
            **facts,
        }
    )


def found(these: EtcSides) -> dict[str, EtcKind]:
    return {item.path: item.kind for item in find_items(these)}


def told(these: EtcSides) -> EtcItem:
    (item,) = find_items(these)
    return item


def conffiles(**files: Conffile) -> VendorFacts:
    return VendorFacts(states=KNOWN, conffiles={f"/etc/{name}": each for name, each in files.items()})


def test_unchanged_defaults_of_one_image_say_nothing() -> None:
    image = files(a="1", b="2")
    assert found(sides(image, running=image, wanted=image)) == {}


def test_each_path_is_told_by_what_its_sides_say() -> None:
    old = files(same="1", edited="1", stale="1", both="1", dropped="1", deleted="1")
    new = files(same="1", edited="1", stale="2", both="2", brought="2", deleted="1")
    here = files(same="1", edited="3", stale="1", both="3", dropped="1", own="4")
    assert found(sides(here, running=old, wanted=new)) == {
        "/etc/edited": EtcKind.EDIT,
        "/etc/stale": EtcKind.MASKED,
        "/etc/both": EtcKind.CONFLICT,
        "/etc/dropped": EtcKind.ORPHAN,
        "/etc/brought": EtcKind.MASKED,
        "/etc/deleted": EtcKind.DELETED,
    }


def test_what_belongs_to_one_host_is_no_default() -> None:
    old, new = tree({"/etc/hostname": "1", "/etc/shadow": "1"}), tree({"/etc/hostname": "2", "/etc/shadow": "2"})
    assert found(sides(tree({"/etc/hostname": "3", "/etc/shadow": "1"}), running=old, wanted=new)) == {}


def test_what_the_drill_has_planted_is_not_told() -> None:
    image = files(a="1")
    assert found(sides(image | files(b="2"), running=image, wanted=files(a="1", b="3"), planted={"/etc/b"})) == {}


def test_folders_are_not_compared() -> None:
    assert found(sides({}, running={}, wanted=tree({"/etc/new.d": "/"}))) == {}


def test_mode_of_a_file_is_a_part_of_its_default() -> None:
    old = files(a="1")
    new = {path: replace(entry, mode=0o600) for path, entry in old.items()}
    item = told(sides(old, running=old, wanted=new))
    assert (item.kind, "another mode" in item.detail) == (EtcKind.MASKED, True)


def test_database_of_the_endpoint_tells_edits_without_any_image() -> None:
    vendor = conffiles(edited=Conffile("p", "a" * 32, "b" * 32), same=Conffile("p", "c" * 32, "c" * 32))
    gone = replace(vendor, conffiles={**vendor.conffiles, "/etc/gone": Conffile("p", "d" * 32)})
    assert found(sides(files(edited="1", same="2"), vendor=gone)) == {
        "/etc/edited": EtcKind.EDIT,
        "/etc/gone": EtcKind.DELETED,
    }


def test_database_of_the_endpoint_tells_a_stale_copy_from_the_new_image() -> None:
    vendor = conffiles(a=Conffile("p", "a" * 32, "a" * 32))
    assert found(sides(files(a="1"), vendor=vendor, wanted=files(a="2"))) == {"/etc/a": EtcKind.MASKED}


def test_old_text_of_the_vendor_stays_a_stale_copy_when_the_new_image_runs_already() -> None:
    """The restored database remembers the older release; the image that runs does not."""
    vendor = conffiles(a=Conffile("p", "a" * 32, "a" * 32))
    image = files(a="2")
    assert found(sides(files(a="1"), vendor=vendor, running=image, wanted=image)) == {"/etc/a": EtcKind.MASKED}


def test_edit_of_a_default_that_may_have_changed_is_unknown() -> None:
    vendor = conffiles(a=Conffile("p", "a" * 32, "b" * 32))
    these = sides(files(a="1"), vendor=vendor, wanted=files(a="2"))
    assert found(these) == {"/etc/a": EtcKind.UNKNOWN}


def test_edit_of_a_default_of_the_same_version_is_an_edit() -> None:
    vendor = conffiles(a=Conffile("p", "a" * 32, "b" * 32))
    versions = ({"p:all": "1.0"}, {"p:all": "1.0"})
    these = sides(files(a="1"), vendor=vendor, wanted=files(a="2"), versions=versions)
    assert found(these) == {"/etc/a": EtcKind.EDIT}


def test_md5_of_the_file_in_the_image_tells_a_conflict() -> None:
    vendor = conffiles(a=Conffile("p", "a" * 32, "b" * 32))
    these = sides(files(a="1"), vendor=vendor, wanted=files(a="2"), texts=Texts(md5={"/etc/a": "c" * 32}))
    assert found(these) == {"/etc/a": EtcKind.CONFLICT}


def test_a_file_that_nobody_knows_the_old_default_of_is_unknown() -> None:
    assert found(sides(files(a="1"), wanted=files(a="2"))) == {"/etc/a": EtcKind.UNKNOWN}


@pytest.mark.parametrize(
    ("conffile", "words"),
    [
        (Conffile("old", "a" * 32, "a" * 32, is_orphan=True), "not installed any more"),
        (Conffile("old", "a" * 32, "a" * 32, is_obsolete=True), "has it no more"),
    ],
)
def test_configuration_of_a_package_that_left_it_behind_is_an_orphan(conffile: Conffile, words: str) -> None:
    item = told(sides(files(a="1"), vendor=conffiles(a=conffile)))
    assert (item.kind, words in item.detail) == (EtcKind.ORPHAN, True)


def test_of_two_things_to_be_said_of_a_path_the_graver_is_told() -> None:
    edited_and_obsolete = Conffile("old", "a" * 32, "b" * 32, is_obsolete=True)
    assert found(sides(files(a="1"), vendor=conffiles(a=edited_and_obsolete))) == {"/etc/a": EtcKind.ORPHAN}


def test_defaults_in_usr_etc_are_the_base_of_an_ostree_system() -> None:
    here = files(edited="2", same="1", own="3") | tree(
        {"/usr/etc/edited": "1", "/usr/etc/same": "1", "/usr/etc/gone": "1"}
    )
    vendor = VendorFacts(states={"ostree": OracleState(is_known=True)})
    assert found(sides(here, vendor=vendor)) == {"/etc/edited": EtcKind.EDIT, "/etc/gone": EtcKind.DELETED}


@pytest.mark.parametrize(
    ("mine", "old", "new", "kind"),
    [
        ("1", "1", "1", EtcKind.REDUNDANT),
        ("2", "1", "1", EtcKind.EDIT),
        ("1", "1", "2", EtcKind.MASKED),
        ("2", "1", "2", EtcKind.REDUNDANT),
        ("3", "1", "2", EtcKind.CONFLICT),
    ],
)
def test_unit_in_etc_hides_the_one_of_the_vendor(mine: str, old: str, new: str, kind: EtcKind) -> None:
    item = told(sides(tree({OVERRIDE: mine, UNIT: new}), before=tree({UNIT: old}), wanted=tree({UNIT: new})))
    assert (item.path, item.kind, item.default) == (OVERRIDE, kind, UNIT)


def test_unit_that_hid_one_that_is_gone_is_an_orphan() -> None:
    assert found(sides(tree({OVERRIDE: "1"}), before=tree({UNIT: "1"}), wanted={})) == {OVERRIDE: EtcKind.ORPHAN}


def test_a_masked_unit_hides_nothing_by_its_content() -> None:
    here = tree({OVERRIDE: "->/dev/null", UNIT: "1"})
    assert found(sides(here, wanted=tree({UNIT: "2"}))) == {}


def test_a_default_of_a_stateless_system_is_copied_in_vain() -> None:
    here = tree({"/etc/nginx/nginx.conf": "1", "/usr/share/defaults/nginx/nginx.conf": "1"})
    assert found(sides(here)) == {"/etc/nginx/nginx.conf": EtcKind.REDUNDANT}


@pytest.mark.parametrize(
    ("name", "unit", "is_orphan"),
    [
        ("shop.service", UNIT, False),
        ("shop@1.service", "/usr/lib/systemd/system/shop@.service", False),
        ("shop.service", "/etc/systemd/system/shop.service", False),
        ("gone.service", UNIT, True),
    ],
)
def test_link_that_switches_on_a_unit_that_is_gone_is_an_orphan(name: str, unit: str, is_orphan: bool) -> None:
    link = f"{WANTS}/{name}"
    here = tree({link: f"->/lib/systemd/system/{name}", unit: "1", "/lib": "->usr/lib", "/etc/systemd": "/"})
    assert found(sides(here)) == ({link: EtcKind.ORPHAN} if is_orphan else {})


@pytest.mark.parametrize(
    ("target", "dangles"),
    [
        ("/usr/share/there", False),
        ("../usr/share/there", False),
        ("/usr/share/nowhere", True),
        ("/run/at/boot", False),
        ("/mnt/disk/file", False),  # nobody has seen into /mnt/disk: it may be another file system
        ("loop", True),
        ("other", False),
    ],
)
def test_link_that_leads_nowhere_dangles(target: str, dangles: bool) -> None:
    here = tree(
        {
            "/etc/link": f"->{target}",
            "/etc/loop": "->loop",
            "/etc/other": "->/usr/share/there",
            "/usr/share/there": "1",
            "/mnt": "/",
            "/mnt/disk": "/",
        }
    )
    assert (found(sides(here)).get("/etc/link") is EtcKind.DANGLING) is dangles


def test_link_of_a_package_or_an_image_may_dangle() -> None:
    here = tree({"/etc/link": "->/usr/share/nowhere", "/usr/share/x": "1"})
    owned = VendorFacts(states=KNOWN, paths={"/etc/link": Expected("p")})
    assert found(sides(here, vendor=owned)) == {}
    assert found(sides(here, running=here, wanted=here)) == {}


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/usr/bin/nano", None),
        ("/usr/bin/vim", EtcKind.ALTERNATIVE),
        ("/usr/bin/gone", EtcKind.DANGLING),
    ],
)
def test_alternatives_follow_their_database(target: str, kind: EtcKind | None) -> None:
    link = "/etc/alternatives/editor"
    here = tree({link: f"->{target}", "/usr/bin/nano": "1", "/usr/bin/vim": "2"})
    vendor = VendorFacts(states=KNOWN, links={link: ("/usr/bin/nano",)})
    assert found(sides(here, vendor=vendor)).get(link) is kind


def test_alternative_that_its_database_does_not_know_is_an_orphan() -> None:
    here = tree({"/etc/alternatives/old": "->/usr/bin/nano", "/usr/bin/nano": "1"})
    vendor = VendorFacts(states=KNOWN, links={"/etc/alternatives/editor": ("/usr/bin/nano",)})
    assert found(sides(here, vendor=vendor)) == {"/etc/alternatives/old": EtcKind.ORPHAN}


def test_manual_page_that_was_left_out_on_purpose_is_not_missed() -> None:
    link, page = "/etc/alternatives/awk.1.gz", "/usr/share/man/man1/mawk.1.gz"
    vendor = VendorFacts(states=KNOWN, links={link: (page,)}, paths={page: Expected("mawk", is_optional=True)})
    assert found(sides(tree({link: f"->{page}", "/usr/share": "/"}), vendor=vendor)) == {}


def test_new_default_that_nobody_has_merged_is_a_conflict() -> None:
    here = tree({"/etc/a.conf": "1", "/etc/a.conf.dpkg-dist": "2", "/etc/b": "1", "/etc/b.rpmnew": "1"})
    assert found(sides(here)) == {
        "/etc/a.conf.dpkg-dist": EtcKind.CONFLICT,
        "/etc/b.rpmnew": EtcKind.LEFTOVER,
    }


def test_older_text_that_is_kept_is_a_leftover() -> None:
    assert found(sides(files(a_dpkg="1") | tree({"/etc/a.dpkg-old": "2"}))) == {"/etc/a.dpkg-old": EtcKind.LEFTOVER}


def test_differences_are_shown_line_by_line() -> None:
    texts = Texts({"/etc/a": "port 80\nname x\n"}, {"/etc/a": "port 8080\nname x\n"})
    these = sides(files(a="3"), running=files(a="1"), wanted=files(a="2"), texts=texts)
    assert render_items(these).splitlines() == [
        "--- /etc/a (vendor)",
        "+++ /etc/a (here)",
        "@@ -1,2 +1,2 @@",
        "-port 8080",
        "+port 80",
        " name x",
    ]


def test_what_may_hold_secrets_is_compared_by_hash_only() -> None:
    path = "/etc/ssl/private/site.pem.d/token"
    texts = Texts({path: "mine"}, {path: "theirs"})
    these = sides(
        tree({"/etc/api-token": "3"}), running=tree({"/etc/api-token": "1"}), wanted=tree({"/etc/api-token": "2"})
    )
    shown = render_items(replace(these, texts=Texts({"/etc/api-token": "mine"}, {"/etc/api-token": "theirs"})))
    assert "only its hash" in shown
    assert "mine" not in shown + render_items(replace(these, texts=texts))
