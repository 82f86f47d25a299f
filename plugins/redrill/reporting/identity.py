"""Who a test is: a name that is the same however, from where and on how many workers pytest was started."""

import hashlib
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path

from redrill.model.values import Value, printable
from redrill.private import write_private
from redrill.redaction import redact, redact_named

_SCALARS = (str, int, float, bool, Enum, type(None))


class Identity(Value):
    """A test with its parameters by name; ``test`` is such as 'redrill_suites.test_drift::test_nothing_leaks'."""

    test: str
    parameters: dict[str, str]
    title: str

    @property
    def endpoint(self) -> str | None:
        """The endpoint that the test judges; None for a test of the fleet."""
        return self.parameters.get("endpoint")

    @property
    def module(self) -> str:
        """The dotted name of the module."""
        return self.test.partition("::")[0]

    @property
    def title_path(self) -> list[str]:
        """Where the test stands in a tree of packages, modules and classes."""
        return [*self.module.split("."), *self.test.split("::")[1:-1]]

    @property
    def promise(self) -> str:
        """What the module is about, in words: 'Redeploy proof' for 'test_redeploy_proof'."""
        return _in_words(self.module.rpartition(".")[2])

    @property
    def full_name(self) -> str:
        """The name of the test without its parameters, as Allure spells it."""
        module, _, rest = self.test.partition("::")
        *classes, function = rest.split("::")
        return f"{'.'.join([module, *classes])}#{function}"

    @property
    def history_id(self) -> str:
        """What links the results of this test and these parameters over all runs."""
        return _digest(self.full_name, *(f"{name}={value}" for name, value in sorted(self.parameters.items())))

    @property
    def case_id(self) -> str:
        """What links the results of this test for all parameters."""
        return _digest(self.full_name)


def identify(
    path: Path, nodeid: str, parameters: Mapping[str, object] | None = None, case: str = "", title: str = ""
) -> Identity:
    """Return the identity of a pytest item: its file, node id, parameters, and the id of its parameter set (``case``).

    The module is named from the folders up to the first that is no package; a file outside of any package is named
    after its folder and itself. A parameter that is no plain value is called by ``case``, never by its repr.
    """
    names = nodeid.partition("::")[2].partition("[")[0].split("::")
    plain = {
        name: redact_named(name, printable(_plain(value))) if isinstance(value, _SCALARS) else redact(case)
        for name, value in sorted((parameters or {}).items())
    }
    subjects = [plain[name] for name in ("endpoint", *(name for name in plain if name != "endpoint")) if name in plain]
    words = title or _in_words(names[-1])
    return Identity(
        test="::".join([_module_of(path), *names]),
        parameters=plain,
        title=" · ".join([words, *subjects]),
    )


def write_plan(path: Path, planned: Iterable[Identity]) -> None:
    """Write the tests that a run is going to judge, one JSON line each, so that a lost one is noticed."""
    write_private(path, "".join(f"{identity.model_dump_json()}\n" for identity in planned))


def read_plan(path: Path) -> tuple[Identity, ...]:
    """Return what ``write_plan`` wrote."""
    return tuple(map(Identity.model_validate_json, path.read_text("utf-8").splitlines()))


def _module_of(path: Path) -> str:
    folder, names = path.parent, [path.stem]
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return ".".join(names if len(names) > 1 else filter(None, [folder.name, *names]))


def _plain(value: object) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def _in_words(name: str) -> str:
    words = name.removeprefix("test_").replace("_", " ").strip() or name
    return words[:1].upper() + words[1:]


def _digest(*parts: str) -> str:
    return hashlib.md5("\0".join(parts).encode("utf-8", "backslashreplace"), usedforsecurity=False).hexdigest()
