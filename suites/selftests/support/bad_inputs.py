"""The catalogue of bad configurations and inventories: what is wrong, how a run ends, and what it must say."""

from dataclasses import dataclass

from selftests.support import bad_ways as by
from selftests.support.bad_ways import Spoil

TITLES = {
    1: "an empty file",
    2: "a YAML syntax error",
    3: "an unknown key",
    4: "a duplicate key or endpoint",
    5: "a duplicate address under two names",
    6: "no endpoint selected",
    7: "an empty choice, which is not 'all'",
    8: "everything chosen where one is the limit",
    9: "a host that is an option of ssh",
    10: "a host with a line end, a NUL or a command in it",
    11: "a host that is the controller",
    12: "an IPv6 literal or zone",
    13: "a name in another alphabet, or that runs backwards",
    14: "a port that is none",
    15: "a user with '@' or ':'",
    16: "a key file that cannot be used",
    17: "known_hosts that pins nothing, something else, or revokes",
    18: "an unknown backend",
    19: "settings of another backend",
    20: "a command that cannot be run",
    21: "another set of state paths",
    22: "a state path that is a link or a file system of its own",
    23: "a retention of nothing",
    24: "a duration that is none",
    25: "a window that never opens, a blackout that ends before it starts",
    26: "a reference to an unset environment variable",
    27: "a recursive include, a bomb of aliases",
    28: "a tag that would run code",
    29: "an inventory that is too large",
    30: "a file that is not UTF-8",
    31: "a plan that is too old or of something else",
    32: "an allow token that is expired, of another host, or open to all",
}

TO_REFUSE = {5, 6, 7, 8, 11, 17, 31, 32}
"""The numbers that a guard refuses (exit 10); all others are mistakes of the file (exit 4)."""


@dataclass(frozen=True)
class BadInput:
    """One way to spoil a good fleet.

    ``words`` must all be told. ``at`` is the text in the spoilt file whose line and column must be told, '' its start,
    None where the file is not what is wrong. ``why`` says why another exit status than that of the number is right.
    """

    number: int
    what: str
    spoil: Spoil
    words: tuple[str, ...]
    at: str | None = None
    status: int = 4
    why: str = ""
    is_contacted: bool = False

    def __str__(self) -> str:
        return f"{self.number:02}-{self.what}"


def bad(number: int, what: str, spoil: Spoil, *words: str, at: str | None, why: str = "") -> BadInput:
    """Return a mistake of the fleet file (exit 4)."""
    return BadInput(number, what, spoil, words, at, 4, why)


def refused(number: int, what: str, spoil: Spoil, *words: str, why: str = "", is_contacted: bool = False) -> BadInput:
    """Return what a guard refuses (exit 10)."""
    return BadInput(number, what, spoil, words, None, 10, why, is_contacted)


IN_THE_FILE = "what the file itself shows is a mistake of the file (4), told with its place"
NOT_IN_THE_FILE = "what only the endpoint or the controller shows is refused by a guard (10)"
OF_THE_OPTION = "a choice that names nothing is a mistake of the option (4); '*' is no wildcard"
NO_BACKUP = "what would make the backup incomplete is a backup that is not restorable (12)"

LAUGHS = ", ".join(["*a"] * 9)
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{LAUGHS.replace('a', old)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTS = "fleet: bad\nendpoints:\n" + "".join(f"  h{number}:\n" for number in range(100_000))

CATALOGUE = (
    bad(1, "no byte", by.whole(b""), "the file is empty; give it the keys 'fleet' and 'endpoints'", at=""),
    bad(
        2,
        "an open bracket",
        by.top("tags: [1, 2"),
        "not YAML that can be read: while parsing a flow sequence",
        at=": true",
    ),
    bad(3, "at the top", by.top("destory: true"), "unknown key 'destory'; known are: 'defaults'", at="destory"),
    bad(4, "key", by.top("disposable: false"), "the key 'disposable' was given before, at ", at="disposable: true"),
    bad(
        4,
        "endpoint",
        by.edit("  elm-1:", "  oak-1:"),
        "the key 'oak-1' was given before",
        at="oak-1: {role: app, relocate: {name: elm-1b}}\n  a",
    ),
    bad(
        5,
        "in the file",
        by.edit(
            "elm-1: {role: app, relocate: {name: elm-1b}}",
            "elm-1: {address: Web.example}\n  web-1: {address: web.example.}",
        ),
        "the address 'web.example.' with port 22 is already that of 'elm-1', at ",
        at="web.example.",
        why=IN_THE_FILE,
    ),
    refused(5, "on disk", by.twin_directory, "'oak-1' and 'elm-1' have the place '", "one would be wiped for another"),
    refused(5, "by identity", by.twin_machine, "'oak-1' and 'elm-1' have the same machine-id"),
    refused(
        6, "by two choices", by.chosen("--endpoint", "oak-1", "--tag", "small"), "matches 'oak-1', 'small' together"
    ),
    refused(6, "none expendable", by.edit("expendable: true", "expendable: false"), "must not wipe 'oak-1': it is not"),
    refused(7, "endpoint", by.chosen("--endpoint", ""), "An empty endpoint was chosen, which never means all"),
    refused(7, "tag", by.chosen("--tag", " "), "An empty tag was chosen, which never means all"),
    refused(
        8,
        "all of three",
        by.edit("most_endpoints: 3", "most_endpoints: 1"),
        "3 endpoints are more than 1; choose fewer, or raise 'limits.most_endpoints'",
    ),
    bad(8, "a star", by.chosen("--endpoint", "*"), "no endpoint '*'; it has: 'oak-1'", at=None, why=OF_THE_OPTION),
    bad(
        9,
        "address",
        by.endpoint("address: '-oProxyCommand=touch pwn'"),
        "'-oProxyCommand=touch pwn' is neither",
        at="'-o",
    ),
    bad(9, "jump", by.endpoint("ssh: {proxy_jump: -oProxyCommand=touch pwn}"), "is not a jump host", at="-oProxy"),
    bad(9, "user", by.endpoint("ssh: {user: -oProxyCommand=touch pwn}"), "is not a user name", at="-oProxy"),
    bad(
        10, "line end", by.endpoint(r'address: "a\nb"'), r"'a\nb' is neither an IP address nor a host name", at=r'"a\nb'
    ),
    bad(10, "NUL", by.endpoint(r'address: "a\0b"'), "the character U+0000 is not allowed in a value", at=r'"a\0b'),
    bad(10, "command", by.endpoint("address: $(touch pwn)"), "'$(touch pwn)' is neither an IP address", at="$("),
    bad(10, "name", by.edit("  elm-1:", "  $(touch pwn):"), "'$(touch pwn)' is not a name; use lower-case", at="$("),
    refused(11, "localhost", by.far("localhost"), "is an address of the machine that redrill runs on"),
    refused(11, "127.0.0.1", by.far("127.0.0.1"), "'127.0.0.1' is an address of the machine that redrill runs on"),
    refused(
        11,
        "its own machine-id",
        by.known("HOST KEY"),
        "not the controller of 'far-1': what answers is the machine that redrill runs on",
        is_contacted=True,
    ),
    bad(
        12,
        "zone",
        by.endpoint("address: fe80::1%$(id)"),
        "'fe80::1%$(id)' has a zone that is no interface name",
        at="fe80",
    ),
    bad(12, "brackets", by.endpoint("address: '[fd00::1]'"), "'[fd00::1]' is neither an IP address", at="'[fd00"),
    refused(12, "loopback", by.far("::1"), "'::1' is an address of the machine", why=NOT_IN_THE_FILE),
    bad(
        13, "alphabet", by.endpoint("address: bücher.example"), "'bücher.example' is neither", "as 'xn--…'", at="bücher"
    ),
    bad(13, "backwards", by.endpoint(r'address: "web\u202e.example"'), r"'web\u202e.example' is neither", at='"web'),
    bad(
        14,
        "0",
        by.endpoint("ssh: {port: 0}"),
        "0 is refused: input should be greater than or equal to 1",
        at="0}, reloc",
    ),
    bad(14, "65536", by.endpoint("ssh: {port: 65536}"), "65536 is refused: input should be less than", at="65536"),
    bad(
        14, "command", by.endpoint("ssh: {port: '22; rm'}"), "'22; rm' is not a whole number; write decimal", at="'22;"
    ),
    bad(15, "at", by.endpoint("ssh: {user: root@db-1}"), "'root@db-1' is not a user name; write", at="root@"),
    bad(15, "colon", by.endpoint("ssh: {user: 'root:x'}"), "'root:x' is not a user name; write", at="'root:"),
    bad(16, "missing", by.key(name="none"), "/none' does not exist; name the private key", at="none, known"),
    bad(16, "mode 0644", by.key(mode=0o644), "/id' is open to others (mode 0644); run 'chmod 600 ", at="id, known"),
    bad(
        16, "passphrase", by.key("-N", "hush-hush"), "protected by a passphrase, and redrill never asks", at="id, known"
    ),
    bad(
        16,
        "public",
        by.key(name="id.pub"),
        "/id.pub' is a public key; name the private one beside it",
        at="id.pub, known",
    ),
    refused(17, "missing", by.unpinned, "no host key is pinned for it in '", "/known' (which does not exist)"),
    refused(
        17, "revoked only", by.known("@revoked HOST KEY"), "no host key is pinned", "pin the line 'ssh-ed25519 AAAA…'"
    ),
    refused(17, "revoked", by.known("@revoked * KEY", "HOST KEY"), "all of its pinned keys are revoked"),
    refused(17, "hashed", by.hashed, " showed the host key ssh-ed25519 SHA256:", "Nothing was sent", is_contacted=True),
    bad(
        18,
        "provisioner",
        by.edit("kind: counted-tree", "kind: qemu"),
        "no backend 'qemu' in",
        "installed are: '",
        at="qemu",
    ),
    bad(
        19,
        "provisioner",
        by.edit("kind: counted-tree", "kind: counted-tree, lab: x"),
        "unknown key 'lab'; known",
        at="lab: x",
    ),
    bad(
        20,
        "a secret, absolute and missing",
        by.edit("kind: tar", "kind: tar, identity: {command: /nowhere/pass x}"),
        "The secret from the command '/nowhere/pass …' cannot be had: it ended with status 127",
        "run it by hand to see why",
        at="{command",
    ),
    bad(
        20,
        "a secret, not executable",
        by.edit("kind: tar", "kind: tar, identity: {command: ./no-program}"),
        "The secret from the command './no-program …' cannot be had: it ended with status 126",
        at="{command",
    ),
    refused(
        20,
        "a stop condition, missing",
        by.guards("stop_conditions: [{run: /nowhere/check}]"),
        "stop condition is unknown: '/nowhere/check' ended with 127: ",
        why=NOT_IN_THE_FILE,
    ),
    refused(
        20,
        "a stop condition, not executable",
        by.guards("stop_conditions: [{run: ./no-program}]"),
        "stop condition is unknown: './no-program' ended with 126: ",
        why=NOT_IN_THE_FILE,
    ),
    refused(
        20,
        "the check of a ticket",
        by.ticket("/nowhere/check"),
        "change ticket: the check of 'CHG-1' ended with 127: ",
        why=NOT_IN_THE_FILE,
    ),
    bad(
        21,
        "of a backup",
        by.edit("kind: tar", "kind: tar, paths: [/, /usr, /etc/..]"),
        "unknown key 'paths'",
        at="paths",
    ),
    BadInput(22, "link", by.linked_state, ("'/home' is not a directory, so its files would not",), None, 12, NO_BACKUP),
    refused(22, "file system", by.mounted, "other file systems are mounted: ", "unmount them", why=NOT_IN_THE_FILE),
    bad(23, "0", by.edit("kind: tar", "kind: tar, keep: 0"), "0 is refused: input should be greater than", at="0, dir"),
    bad(23, "negative", by.edit("kind: tar", "kind: tar, keep: -1"), "-1 is refused: input should be", at="-1, dir"),
    bad(24, "5 min", by.endpoint("objectives: {rto: 5 min}"), "'5 min' is not a duration; write a number", at="5 min"),
    bad(24, "-1", by.guards("min_interval: -1"), "-1 is not a duration; write a number with its unit", at="-1"),
    bad(24, "0s", by.guards("stop_conditions: [{run: x, timeout: 0s}]"), "'0s' is not a duration", at="0s}"),
    bad(24, "inf", by.guards("plan_valid: inf"), "'inf' is not a duration; write a number with its unit", at="inf"),
    bad(25, "no length", by.guards("windows: [{from: '22:00', to: '22:00'}]"), "has no length; write from", at="{from"),
    bad(
        25,
        "a blackout that ends first",
        by.guards("blackouts: [{from: 2026-12-24, to: 2026-12-01, reason: x}]"),
        "a blackout cannot end on 2026-12-01, before it starts on 2026-12-24",
        at="{from",
    ),
    refused(25, "in a skipped hour", by.skipped_hour, "none is open now (", " Gap", why=NOT_IN_THE_FILE),
    bad(
        26,
        "of a secret",
        by.edit("kind: tar", "kind: tar, identity: {env: REDRILL_TEST_UNSET}"),
        "The environment variable 'REDRILL_TEST_UNSET' is not set, so the secret is unknown; export it",
        at="{env",
    ),
    bad(27, "laughs", by.top(BOMB), "/tree.yml:5:", "aliases expand to more than 100000 values; write fewer", at=None),
    bad(27, "itself", by.top("x: &x [*x]"), "an alias or a merge key contains itself; write the value out", at="&x ["),
    bad(
        27,
        "include",
        by.top("x: !include tree.yml"),
        "the tag '!include' is refused; write the plain value",
        at="!incl",
    ),
    bad(
        28,
        "a call",
        by.top("x: !!python/object/apply:os.system ['touch pwn']"),
        "the tag 'tag:yaml.org,2002:python/object/apply:os.system' is refused",
        at="!!python",
    ),
    bad(
        29, "5 MB", by.whole(b"# " + b"x" * 5_000_000), "the file is larger than 1048576 bytes; split the fleet", at=""
    ),
    bad(29, "100 000 hosts", by.whole(HOSTS.encode()), "more than 100000 values; split the fleet", at="\n  h49998"),
    bad(30, "UTF-16", by.recoded("utf-16"), "the file is UTF-16; save it as UTF-8", at=""),
    bad(30, "UTF-16 unmarked", by.recoded("utf-16-le"), "is not UTF-8 (UTF-16, perhaps); save the file", at="\ufffd"),
    bad(30, "Latin-1", by.recoded("latin-1"), "the byte 0xe9 is not UTF-8", "save the file as UTF-8", at="\ufffd"),
    refused(
        31, "too old", by.old_plan, "The plan '", "' expired at ", "Run 'redrill plan' again, read it, and confirm"
    ),
    refused(31, "another fleet file", by.changed_plan, "is not what would be done now: the fleet file changed"),
    refused(31, "another hash", by.altered_plan, "this controller knows no such plan; its id was altered"),
    refused(32, "expired", by.token(by.expire), "' expired on ", "'redrill allow tree.yml oak-1 --until DATE' prints"),
    refused(32, "another host", by.token(by.borrow), "is for another host: its identity is not that of the one that"),
    refused(32, "world-writable", by.token(by.open_up), "can be written by others (modes 666, 755); chmod go-w both"),
)
