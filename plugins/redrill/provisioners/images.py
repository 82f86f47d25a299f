"""Golden images: built once from a definition, kept under the hash of that definition."""

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from redrill.errors import FleetError, ProvisionError
from redrill.machine.walker import walk
from redrill.model.values import Value
from redrill.provisioners.digest import manifest_digest

BUILDER = 2
"""Part of the cache key: raise it when the same definition would be built into something else."""

VOLATILE = ("/dev", "/proc", "/run", "/sys", "/tmp")  # noqa: S108 - names of mount points inside an image
"""What an image may hold but a running system never shows."""

Report = Callable[[str], None]


class Definition(Value):
    """The content of ``image.yml``: a Debian suite and what is installed from it; ``customize.sh`` lies beside it."""

    name: str
    version: str
    suite: str = "bookworm"
    variant: str = "minbase"
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """A golden image in the cache; ``digest`` stands for what its manifest says."""

    name: str
    version: str
    digest: str
    directory: Path

    @property
    def root(self) -> Path:
        """The root file system; never written to."""
        return self.directory / "root"

    @property
    def manifest(self) -> Path:
        """The manifest of the root file system, as JSON lines."""
        return self.directory / "manifest.jsonl"


def cache_directory() -> Path:
    """Return where images are kept: ``$REDRILL_CACHE``, else /var/cache/redrill/images."""
    return Path(os.environ.get("REDRILL_CACHE") or "/var/cache/redrill/images")


def read_definition(folder: Path) -> Definition:
    """Return the definition in ``folder``; FleetError when it is not one."""
    path = folder / "image.yml"
    try:
        return Definition.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except OSError as error:
        raise FleetError(f"{path}: an image definition cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValidationError) as error:
        raise FleetError(f"{path}: this is no image definition: {error}") from error


def key_of(folder: Path) -> str:
    """Return the cache key of a definition: the hash over its files, their permissions to execute, and the builder."""
    total = hashlib.sha256(f"builder {BUILDER}\n".encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder)} {os.access(path, os.X_OK)} {content}\n".encode())
    return total.hexdigest()[:32]


def find(folder: Path) -> BuiltImage | None:
    """Return the image of a definition when the cache has it."""
    return read(cache_directory() / key_of(folder))


def read(directory: Path) -> BuiltImage | None:
    """Return the image in a directory of the cache; None when it is not there."""
    try:
        return BuiltImage(**json.loads((directory / "image.json").read_text("utf-8")), directory=directory)
    except FileNotFoundError:
        return None


def ensure(folder: Path, report: Report | None = None) -> BuiltImage:
    """Return the image of a definition, built first when the cache has none; concurrent callers build it once."""
    definition = read_definition(folder)
    found = find(folder)
    if found:
        return found
    key = key_of(folder)
    tell = report or (lambda _line: None)
    with _locked(cache_directory() / f"{key}.lock"):
        found = find(folder)
        if found:
            return found
        _sweep(key)
        tell(f"Building the golden image '{definition.name}' {definition.version} (once; about a minute).")
        return _build(folder, definition, key, tell)


def sweep() -> None:
    """Remove what builds that died have left in the cache; those that still run are left alone."""
    for building in cache_directory().glob("*.building-*"):
        key = building.name.partition(".")[0]
        with suppress(BlockingIOError), _locked(cache_directory() / f"{key}.lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
            _sweep(key)


def _sweep(key: str) -> None:
    for leftover in cache_directory().glob(f"{key}.building-*"):
        shutil.rmtree(leftover)


@contextmanager
def _locked(path: Path, operation: int = fcntl.LOCK_EX) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, operation)
        yield


def _build(folder: Path, definition: Definition, key: str, tell: Report) -> BuiltImage:
    working = Path(tempfile.mkdtemp(prefix=f"{key}.building-", dir=cache_directory()))
    try:
        _bootstrap(folder, definition, working, tell)
        _name_release(working / "root", definition)
        tell("Writing the manifest of the image.")
        digest = _write_manifest(working)
        facts = {"name": definition.name, "version": definition.version, "digest": digest}
        (working / "image.json").write_text(json.dumps(facts))
        working.chmod(0o755)
        working.rename(cache_directory() / key)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return BuiltImage(**facts, directory=cache_directory() / key)


def _bootstrap(folder: Path, definition: Definition, working: Path, tell: Report) -> None:
    sources = working / "debian.list"
    sources.write_text(_host_sources(definition.suite))
    command = [
        # A build must not outlive the process that asked for it, and its mounts must vanish with it.
        *("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *("mmdebstrap", "--mode=root", "--format=directory", f"--variant={definition.variant}"),
        *(f"--aptopt={option}" for option in _host_apt_options()),
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*/LC_MESSAGES/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        f"--include={','.join(definition.packages)}",
        *(f'--customize-hook={shlex.quote(str(hook))} "$1"' for hook in [folder / "customize.sh"] if hook.exists()),
        *(definition.suite, str(working / "root"), *([str(sources)] if sources.stat().st_size else [])),
    ]
    lines: list[str] = []
    try:
        builder = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/"
        )
    except FileNotFoundError as error:
        raise ProvisionError(f"'{error.filename}' is missing; `redrill doctor` says how to install it.") from error
    with builder:
        for line in builder.stdout or ():
            lines.append(line.rstrip())
            if line.startswith("I: "):
                tell(line[3:].rstrip())
    if builder.returncode != 0:
        tail = "\n".join(lines[-20:])
        raise ProvisionError(f"The image '{definition.name}' could not be built (exit {builder.returncode}):\n{tail}")


def _host_sources(suite: str) -> str:
    """Return the Debian sources of this machine for ``suite``; none means mmdebstrap's default mirror."""
    lines = _output("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Origin: Debian")
    targets = {tuple(line.split()) for line in lines if len(line.split()) == 3}
    wanted = sorted(target for target in targets if target[1] in (suite, f"{suite}-updates", f"{suite}-security"))
    if not any(release == suite for _, release, _ in wanted):
        return ""
    return "".join(f"deb {uri} {release} {component}\n" for uri, release, component in wanted)


def _host_apt_options() -> list[str]:
    """Return what this machine's apt needs to reach its mirror: proxies, and whether it accepts an old snapshot."""
    wanted = ("Acquire::Check-Valid-Until ", "Acquire::Check-Date ", "Acquire::http::Proxy", "Acquire::https::Proxy")
    return [line.rstrip(";") for line in _output("apt-config", "dump", "Acquire") if line.startswith(wanted)]


def _output(*command: str) -> list[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    except FileNotFoundError:
        return []


def _name_release(root: Path, definition: Definition) -> None:
    release = root / "usr/lib/os-release"
    identity = f'IMAGE_ID="{definition.name}"\nIMAGE_VERSION="{definition.version}"\n'
    release.write_text(release.read_text() + identity)


def _write_manifest(working: Path) -> str:
    manifest = walk(working / "root", ["/"], VOLATILE)
    with (working / "manifest.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in manifest.dump())
    return manifest_digest(manifest)
