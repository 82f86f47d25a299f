"""The rules of the house, checked over the source: who may import whom, sizes, sleeping, asserting."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = (ROOT / "plugins/redrill", ROOT / "fixtures/redrill_fixtures", ROOT / "suites/redrill_suites")
SOURCES = sorted(file for package in PACKAGES for file in package.rglob("*.py"))
EVERYTHING = sorted({*SOURCES, *(ROOT / "suites").rglob("*.py")})

BACKENDS = {"provisioners", "repositories", "probes", "collectors"}
BASE = {"errors", "model", "redaction"}
ALLOWED = {
    "errors": set(),
    "redaction": set(),
    "private": {"redaction"},
    "database": BASE,
    "model": {"errors", "redaction"},
    "secrets_source": BASE | {"machine"},
    "backends": BASE,
    "loader": BASE | {"backends"},
    "machine": BASE | {"private"},
    "provisioners": BASE | {"machine", "secrets_source"},
    "repositories": BASE | {"machine", "private", "secrets_source"},
    "probes": BASE | {"machine"},
    "collectors": BASE | {"machine", "secrets_source"},
    "analysis": BASE | {"drill", "probes"},
    "drill": BASE | BACKENDS | {"machine", "backends", "database", "private", "secrets_source"},
    "ledger": BASE | {"backends", "database", "private", "secrets_source"},
    "minimise": BASE | BACKENDS | {"analysis", "drill", "machine", "private"},
    "laws": BASE | {"analysis", "drill", "minimise", "private"},
    "lab": BASE | BACKENDS | {"machine", "backends", "drill", "private", "secrets_source"},
    "reporting": BASE | {"private"},
    "plugin": BASE
    | BACKENDS
    | {"machine", "drill", "analysis", "laws", "reporting", "ledger", "loader", "backends", "secrets_source"},
    "tables": set(),
    "cli_findings": BASE | {"analysis", "drill", "loader", "tables"},
    "cli_fidelity": BASE | {"drill", "repositories", "tables"},
    "cli_history": BASE | {"ledger", "loader", "secrets_source", "tables"},
    "cli_plan": BASE | {"drill", "tables"},
    "cli_minimise": BASE
    | {"analysis", "cli_plan", "drill", "loader", "machine", "minimise", "reporting", "secrets_source", "tables"},
    "cli": BASE
    | {"cli_fidelity", "cli_findings", "cli_history", "cli_minimise", "cli_plan", "tables"}
    | {"machine", "drill", "analysis", "lab", "laws", "loader", "backends", "secrets_source"},
}
ONLY_IN = {
    "pytest": {"plugin", "redrill_fixtures", "redrill_suites"},
    "allure": {"reporting", "redrill_suites"},
    "allure_commons": {"reporting"},
    "ansible": {"machine"},
    "paramiko": {"machine"},
    "sqlalchemy": {"database", "drill", "ledger"},
    "testinfra": {"machine", "redrill_fixtures"},
    "subprocess": {"machine", "provisioners", "repositories", "lab"},
}


def layer_of(module: str) -> str:
    """Return the layer that a dotted name belongs to: 'drill' for 'redrill.drill.engine', else the package."""
    parts = module.split(".")
    return parts[1] if parts[0] == "redrill" and len(parts) > 1 else parts[0]


def module_of(file: Path) -> str:
    package = next(package for package in PACKAGES if file.is_relative_to(package))
    return ".".join(file.relative_to(package.parent).with_suffix("").parts)


def imports_of(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # 'from redrill.plugin import reports' names a module, too.
            yield node.lineno, f"{node.module}.{node.names[0].name}" if node.module.count(".") == 0 else node.module


def functions_of(file: Path) -> Iterator[tuple[int, str, int]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1, node.name, node.lineno


def test_imports_follow_the_layers() -> None:
    wrong = []
    for file in SOURCES:
        own = layer_of(module_of(file))
        for line, name in imports_of(file):
            if name.split(".")[0] != "redrill" or own not in ALLOWED:
                continue
            if layer_of(name) not in ALLOWED[own] | {own}:
                wrong.append(f"{file.relative_to(ROOT)}:{line}: '{own}' must not import '{name}'")
    assert not wrong, "\n".join(wrong)


def test_every_layer_has_its_rule() -> None:
    layers = {layer_of(module_of(file)) for file in SOURCES if file.name != "__init__.py"}
    assert layers - ALLOWED.keys() <= {"redrill_fixtures", "redrill_suites"}


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_in_its_layer(library: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in SOURCES
        for line, name in imports_of(file)
        if name.split(".")[0] == library and layer_of(module_of(file)) not in ONLY_IN[library]
    ]
    assert not wrong, f"'{library}' belongs into {sorted(ONLY_IN[library])} only: {wrong}"


def test_modules_form_no_cycle() -> None:
    names = {module_of(file).removesuffix(".__init__") for file in SOURCES}
    graph = {
        module_of(file).removesuffix(".__init__"): {name for _, name in imports_of(file) if name in names}
        for file in SOURCES
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"modules import each other: {' -> '.join([*path, module])}"
        if module not in done:
            for imported in sorted(graph[module]):
                visit(imported, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_files_stay_below_400_lines() -> None:
    sizes = sorted(((len(file.read_text(encoding="utf-8").splitlines()), file) for file in EVERYTHING), reverse=True)
    print("largest files:", *(f"\n  {size} {file.relative_to(ROOT)}" for size, file in sizes[:5]))
    assert [f"{size} {file}" for size, file in sizes if size > 400] == []


def test_functions_stay_below_50_lines() -> None:
    functions = ((file, found) for file in EVERYTHING for found in functions_of(file))
    rows = ((size, f"{file.relative_to(ROOT)}:{line} {name}") for file, (size, name, line) in functions)
    sizes = sorted(rows, reverse=True)
    print("longest functions:", *(f"\n  {size} {where}" for size, where in sizes[:5]))
    assert [where for size, where in sizes if size > 50] == []


def test_only_deadlines_sleep() -> None:
    sleepers = {file.relative_to(ROOT).as_posix() for file in SOURCES if "sleep(" in file.read_text(encoding="utf-8")}
    assert sleepers == {"plugins/redrill/model/deadline.py"}


def test_only_suites_assert() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in SOURCES
        if "redrill_suites" not in file.parts
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert not wrong, f"an assertion in the harness would call a broken harness a failed endpoint: {wrong}"


def test_the_top_level_is_the_agreed_one() -> None:
    agreed = "pyproject.toml conftest.py suites plugins fixtures reports README.md Makefile LICENSE CHANGELOG.md"
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found <= {*agreed.split(), "redrill.schema.json"}
