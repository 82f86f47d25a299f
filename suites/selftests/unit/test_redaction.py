"""What the redactor takes out of text, and what it leaves."""

import json

import pytest

from redrill.redaction import REDACTED, is_sensitive, redact, redact_known, redact_named, redact_value, register
from redrill.redaction.known import KnownSecrets

KEY_BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
KEY_END = "MzEfYyjiWA4R4/M2bS1+fWIcPm15j9"
KEY = f"-----BEGIN PRIVATE KEY-----\n{KEY_BODY}\n{KEY_BODY[::-1]}\n{KEY_END}\n-----END PRIVATE KEY-----"
OPENSSH = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW"
SHADOW = "$6$Qv1JZ5mG$kq0xWn2m1c8vYw6J3h1l2n4b5v6c7x8z9a0s1d2f3g4h5j6k7l8p9o0i1u2y3t4r5e6w7q8ASDFGHJ"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PASSWORD=hunter2x next", f"PASSWORD={REDACTED} next"),
        ("db_password = 'a b c'", f"db_password = '{REDACTED}'"),
        ("password   = 'x'", f"password   = '{REDACTED}'"),
        ("password: str = 'x'", f"password: str = '{REDACTED}'"),
        ("assert password == 'x'", f"assert password == '{REDACTED}'"),
        ('{"password": "a\\"b", "n": 1}', f'{{"password": "{REDACTED}", "n": 1}}'),
        ('{\\"client_secret\\": \\"a b\\"}', f'{{\\"client_secret\\": \\"{REDACTED}\\"}}'),
        ("{'apiToken': b'x'}", f"{{'apiToken': '{REDACTED}'}}"),
        ("secret: hunter2", f"secret: {REDACTED}"),
        ("--password hunter2 --x", f"--password {REDACTED} --x"),
        ("['--api-key', 'hunter2']", f"['--api-key', '{REDACTED}']"),
        ("sshpass -p hunter2 ssh", f"sshpass -p {REDACTED} ssh"),
        ("curl -u me:hunter2 host", f"curl -u me:{REDACTED} host"),
        ("<password>hunter2</password>", f"<password>{REDACTED}</password>"),
        ("machine h login me password hunter2", f"machine h login me password {REDACTED}"),
        ("postgresql://me:hunter2@db/shop", f"postgresql://me:{REDACTED}@db/shop"),
        ("sftp://me:p@ss@vault:22/x", f"sftp://me:{REDACTED}@vault:22/x"),
        ("Authorization: Basic bWU6aHVudGVyMg==", f"Authorization: {REDACTED}"),
        ("Bearer s3cr3t.token-1", f"Bearer {REDACTED}"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2ln", REDACTED),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", REDACTED),
        ("glpat-0123456789abcdefghij", REDACTED),
        ("AKIAIOSFODNN7EXAMPLE", REDACTED),
        ("xoxb-123456789012-abcdefghij", REDACTED),
        ("AGE-SECRET-KEY-1QQPQYRXWQ0SXX5M2L7", REDACTED),
        (f"root:{SHADOW}:19000:0:99999:7:::", f"root:{REDACTED}:19000:0:99999:7:::"),
        ("root:aaBBccDDeeFFg:19000:0:99999:7:::", f"root:{REDACTED}:19000:0:99999:7:::"),
        ("x $y$j9T$abcdefghij$klmnopqrstuvwx y", f"x {REDACTED} y"),
        ("/x/token: password=hunter2", f"/x/token: password={REDACTED}"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "root:x:0:0:root:/root:/bin/bash",
        "daemon:*:19000:0:99999:7:::",
        "Accepted publickey for root from 198.18.0.1 port 22 ssh2: ED25519 SHA256:abcdefghijklmnopqrstuvwxyzABCDEFGH12",
        "Failed password for root from 198.18.0.1 port 40022 ssh2",
        "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)",
        "passwd:         files systemd",
        '"passwd": "1:4.13+dfsg1-1+b1", "libsecret-1-0": "0.20.5-3", "base-passwd": "3.6.1"',
        "/etc/passwd: mode is 0o644, was 0o600",
        "/run/secret: sha256 is 0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8",
        "systemd-ask-password-console.path: was active, is absent",
        "PWD=/root OLDPWD=/",
        "http://198.18.0.2:80/health answered 200",
        "docker run -u 1000:1000 image",
        "journalctl -u redrill.service",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILeabRT2C0UzoOyWgkKA2acF80yUKyIQ6FEItBXQPdC0 root@web-1",
        "the basic authentication of the bearer authentication header is off",
        "password: None, token = True",
        '["/usr/share/X11/locale/iso8859-1/Compose", "file", 420, 0, 0, 5, 1700000000000000000, "ab12", null]',
        "test_secret.py::test_the_token_is_hidden[web-1] PASSED",
        "HOME=/root TERM=xterm LANG=C.UTF-8",
        f"{'0' * 10} {'deadbeef' * 8}",
    ],
)
def test_usual_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_a_private_key_leaves_as_many_lines_as_it_had() -> None:
    assert redact(f"before\n{KEY}\nafter") == "\n".join(["before", *[REDACTED] * 5, "after"])


def test_a_private_key_inside_json_is_taken_out_and_the_json_stays_whole() -> None:
    assert json.loads(redact(json.dumps({"a": KEY, "b": 1}))) == {"a": "\n".join([REDACTED] * 5), "b": 1}


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(repr(KEY[:60]) + "...", id="cut-after-its-beginning"),
        pytest.param("'..." + repr(KEY[-80:])[1:], id="cut-before-its-end"),
        pytest.param("\n".join(f"E         - {line}" for line in KEY.splitlines()), id="in-a-diff"),
        pytest.param("\n".join(f"E         + {line}" for line in KEY.splitlines()[1:3]), id="lines-of-a-diff"),
        pytest.param(OPENSSH[:40], id="first-line-of-openssh"),
    ],
)
def test_a_private_key_that_is_shown_in_part_is_taken_out(shown: str) -> None:
    redacted = redact(shown)
    parts = [KEY_BODY, KEY_BODY[::-1], KEY_END, OPENSSH]
    left = {part[at : at + 16] for part in parts for at in range(len(part) - 15) if part[at : at + 16] in redacted}
    assert not left


def test_a_short_known_secret_is_taken_out_as_a_word_only() -> None:
    known = KnownSecrets()
    known.add("hush")
    assert known.redact("hush, hushed and 'hush'") == f"{REDACTED}, hushed and '{REDACTED}'"


def test_a_value_that_no_text_could_do_without_is_not_taken_for_a_secret() -> None:
    register("a")
    register("  \n")
    assert redact("a cat") == "a cat"


def test_the_placeholder_itself_is_no_secret() -> None:
    known = KnownSecrets()
    known.add("redacted")
    known.add("[redacted]")
    assert known.redact("a redacted [redacted] b") == "a redacted [redacted] b"


def test_a_fragment_of_a_known_secret_is_taken_out() -> None:
    known = KnownSecrets()
    known.add("correct-horse-battery-staple-0123456789")
    assert known.redact("'correct-horse-bat...ple-0123456789'") == f"'{REDACTED}...{REDACTED}'"


def test_each_line_of_a_known_secret_is_secret() -> None:
    known = KnownSecrets()
    known.add("first-line-of-it\nsecond-line-of-it\n")
    assert known.redact("E  - second-line-of-it") == f"E  - {REDACTED}"


def test_the_public_half_of_a_known_key_stays() -> None:
    public = "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGFTyaqR5EYeFBd"
    known = KnownSecrets()
    known.add(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{public}\n-----END OPENSSH PRIVATE KEY-----")
    line = f"ecdsa-sha2-nistp256 {public} root@web-1"
    assert known.redact(line) == line
    assert known.redact(public) == REDACTED


def test_evidence_keeps_everything_but_known_values() -> None:
    register("orange-elephant-77")
    assert redact_known("password=x orange-elephant-77") == f"password=x {REDACTED}"


def test_values_are_redacted_text_by_text_so_that_names_of_packages_stay() -> None:
    value = {"passwd": "1:4.13", "token": "0.3", "detail": ["PASSWORD=hunter2", 5, None]}
    assert redact_value(value) == {**value, "detail": [f"PASSWORD={REDACTED}", 5, None]}


def test_a_value_with_a_secret_name_is_taken_out_as_a_whole() -> None:
    assert redact_named("db_password", "correct horse") == REDACTED
    assert redact_named("password", "None") == "None"
    assert redact_named("endpoint", "web-1") == "web-1"


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssl/private/a/b.crt"),
        *("/srv/tls/web.key", "/root/.ssh/id_ed25519", "/home/me/.pgpass", "/var/lib/app/api-token.txt"),
        *("/etc/app/client_secret", "/etc/NetworkManager/system-connections/wifi", "relative/.env", "id_rsa"),
    ],
)
def test_files_that_hold_secrets_are_sensitive(path: str) -> None:
    assert is_sensitive(path)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc/ssh/sshd_config",
        "/etc/ssh/ssh_host_ed25519_key.pub",
        "/root/.ssh/authorized_keys",
        "/a.txt",
    ],
)
def test_other_files_are_not_sensitive(path: str) -> None:
    assert not is_sensitive(path)


@pytest.mark.parametrize("escape", ["\x1b", "\\x1b", "#x1B"])
def test_a_secret_is_taken_out_of_coloured_text(escape: str) -> None:
    red, off = f"{escape}[31m", f"{escape}[39;49;00m"
    assert redact(f"{red}password{off}: {red}'{off}{red}hunter2{off}{red}'{off}") == f"password: '{REDACTED}'"
    assert redact(f"{red}nothing{off}") == f"{red}nothing{off}"


def test_a_token_that_was_cut_is_taken_out() -> None:
    assert redact("x '...xkFkMlJnZ3.eyJuIjoxfQAAAA.c2ln' y") == f"x '{REDACTED}' y"
    assert redact("'eyJhbGciOiJIUzI1NiJ9.eyJz...'") == f"'{REDACTED}'"
