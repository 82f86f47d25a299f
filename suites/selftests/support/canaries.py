"""Made-up secrets of twelve kinds, tests that let them out by six routes, and the search for them afterwards."""

import base64
import json
import secrets
import stat
import string
from dataclasses import dataclass
from pathlib import Path

WINDOW = 16
"""A secret has leaked when this many of its characters in a row are found."""

TESTS = """\
import json, logging, os
import pytest

CASES = json.loads(open(os.environ["CANARY_FILE"]).read())

@pytest.fixture(params=range(len(CASES)))
def shown(request):
    return CASES[request.param]

def test_in_an_assertion(shown):
    assert shown == "nothing of the kind"

def test_in_a_comparison_of_containers(shown):
    assert {"key": [shown, shown]} == {"key": ["nothing", shown]}

def test_in_the_output(shown):
    print(shown)
    pytest.fail("see the output")

def test_in_the_log(shown):
    logging.getLogger("app").warning("said %s", shown)
    pytest.fail("see the log")

@pytest.mark.parametrize("value", CASES)
def test_in_parameters(value, record_property):
    record_property("seen", value)
    pytest.fail("see the parameters")

@pytest.mark.parametrize("value", CASES, ids=CASES)
def test_in_ids(value):
    pytest.fail("see the id")

def test_in_locals(shown):
    of_that, mapping = shown, {"inner": [shown]}
    raise ValueError("see the locals")

@pytest.fixture
def broken(shown):
    raise RuntimeError(f"cannot go on with {shown}")

def test_in_an_exception_of_a_fixture(broken):
    pass
"""
ROUTES = TESTS.count("def test_")


@dataclass(frozen=True, slots=True)
class Canary:
    """A secret as it is shown, and the parts that must not be found anywhere."""

    kind: str
    shown: str
    parts: tuple[str, ...]

    def leaks(self, text: str) -> list[str]:
        """Return the windows of the secret that a text holds."""
        windows = (part[at : at + WINDOW] for part in self.parts for at in range(max(1, len(part) - WINDOW + 1)))
        return [window for window in windows if window in text]


def hatch() -> dict[str, Canary]:
    """Return new canaries by kind: those of 'fleet-…' are secrets by being declared, all others by their shape."""
    token = _letters
    jwt = ".".join(_base64(json.dumps({"n": token(24)}).encode()).rstrip("=") for _ in range(3))
    shadow = f"$6${token(16)}${token(86)}"
    shapes = {
        "pem": (_pem("PRIVATE KEY", secrets.token_bytes(300)), ()),
        "openssh": (_pem("OPENSSH PRIVATE KEY", b"openssh-key-v1\0" + secrets.token_bytes(260)), ()),
        "shadow": (f"root:{shadow}:19700:0:99999:7:::", (shadow[-86:],)),
        "bearer": (f"Authorization: Bearer {(bearer := token(40))}", (bearer,)),
        "jwt": (jwt, (jwt,)),
        "url": (f"postgresql://shop:{(password := token(24))}@db-1/shop", (password,)),
        "environment": (f"PASSWORD={(value := token(24))}", (value,)),
        "json": (f'{{"user": "shop", "password": "{(secret := token(24))}"}}', (secret,)),
        "age": (key := f"AGE-SECRET-KEY-1{token(58).upper()}", (key[16:],)),
    }
    found = {kind: Canary(kind, shown, parts or _body(shown)) for kind, (shown, parts) in shapes.items()}
    for kind in ("fleet-env", "fleet-file", "fleet-command"):
        value = f"{token(8)} {token(20)}'\"{token(8)}"
        found[kind] = Canary(kind, value, tuple(word for word in value.replace("'\"", " ").split() if len(word) > 8))
    return found


def search(places: list[Path], output: str, canaries: list[Canary]) -> list[str]:
    """Return where canaries leaked: in the printed output, or in a file below the places or the name of one."""
    texts = {"what was printed": output}
    for place in places:
        texts.update({str(file): f"{file}\n{_read(file)}" for file in place.rglob("*") if file.is_file()})
    return [
        f"{canary.kind} leaked into {name}: {leak!r}"
        for name, text in texts.items()
        for canary in canaries
        for leak in canary.leaks(text)[:1]
    ]


def exposed(folder: Path) -> list[str]:
    """Return the files and folders below ``folder``, and itself, that others than the owner have any right to."""
    paths = [folder, *folder.rglob("*")]
    return [f"{path} {path.stat().st_mode:o}" for path in paths if _is_exposed(path)]


def _is_exposed(path: Path) -> bool:
    return not path.is_symlink() and bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _read(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "replace")


def _letters(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _pem(label: str, data: bytes) -> str:
    body = base64.b64encode(data).decode()
    lines = [body[at : at + 70] for at in range(0, len(body), 70)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def _body(pem: str) -> tuple[str, ...]:
    return tuple(line for line in pem.splitlines() if not line.startswith("-"))
