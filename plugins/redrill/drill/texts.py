"""The texts of a configuration that is not the vendor's: what is here, and what the image has in its place."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from redrill.drill.bench import Bench
from redrill.drill.evidence import read_part
from redrill.drill.text_evidence import Texts, write_texts
from redrill.drill.vendor_evidence import read_vendor
from redrill.errors import MachineError
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.manifest import Entry, EntryKind
from redrill.model.observation import Observation
from redrill.model.vendor import Conffile
from redrill.probes.etc_rules import etc_rules
from redrill.probes.texts import LARGEST, as_text, read_texts
from redrill.provisioners.protocol import Unpacked
from redrill.redaction import is_sensitive, redact

Entries = Mapping[str, Entry]

# Directives whose value is a secret although no '=' says so: 'requirepass x' of Redis, 'auth_pass x' of keepalived.
_DIRECTIVE = re.compile(
    r"^(?P<name>[ \t]*(?:[\w.-]*pass(?:word|phrase)?|[\w.-]*(?:secret|psk|token)|masterauth|[\w.-]*community)[ \t:]+)"
    r"(?!(?:yes|no|on|off|true|false|none|required|sufficient)\b|[=\[/])\S.*$",
    re.IGNORECASE | re.MULTILINE,
)


def add_texts(bench: Bench, observation: Observation, moment: str, deadline: Deadline) -> Observation:
    """Return the observation with the texts that its files, its vendor and its image call for; one round trip if any.

    They make findings readable, and no judgement needs them: where they cannot be read that is ``unknown``.
    """
    if observation.state_manifest is None or observation.system_manifest is None or observation.vendor is None:
        return observation
    defaults = tuple(folder for shadow in etc_rules().shadows for folder in shadow.vendor)
    state = read_part(bench.run_dir, observation.state_manifest, ("/etc",))
    system = read_part(bench.run_dir, observation.system_manifest, defaults)
    wanted = bench.evidence.image_wanted
    image = read_part(bench.run_dir, wanted.manifest, ("/etc", *defaults)) if wanted and wanted.manifest else {}
    conffiles = read_vendor(bench.run_dir, observation.vendor).conffiles
    paths = [*choose_paths(state, system, conffiles, image), *_naming_the_old_host(bench)]
    sizes = {path: entry.size for entries in (system, state) for path, entry in entries.items()}
    root = bench.builder.image_root() if wanted and isinstance(bench.builder, Unpacked) else None
    try:
        texts = take_texts(bench.machine, paths, sizes, root, deadline)
    except MachineError as error:
        return observation.model_copy(update={"unknown": observation.unknown | {"texts of /etc": str(error)}})
    file = write_texts(texts, bench.folder / moment / "texts.json")
    return observation.model_copy(update={"texts": bench.relative(file)})


def _naming_the_old_host(bench: Bench) -> list[str]:
    """Return the files of /etc that named the host which an endpoint has left for a new one."""
    before = bench.evidence.before
    if bench.evidence.relocation is None or before is None:
        return []
    return list(dict.fromkeys(each.path for each in before.references if each.path.startswith("/etc/")))


def choose_paths(state: Entries, system: Entries, conffiles: Mapping[str, Conffile], image: Entries) -> list[str]:
    """Return the files of /etc that may differ from a default, and the defaults that others of them hide.

    ``state`` and ``image`` are entries of /etc, ``system`` those of folders that hold defaults.
    """
    rules = etc_rules()
    chosen: dict[str, None] = {}
    for path in sorted(state):
        conffile, default = conffiles.get(path), image.get(path)
        is_edited = bool(conffile and conffile.digest not in (conffile.found, state[path].sha256))
        is_other = default is not None and default.sha256 != state[path].sha256
        is_file = state[path].kind is EntryKind.FILE
        hidden = [each for each in rules.hidden_by(path) if is_file and (each in system or each in image)]
        merged_into = rules.unmerged_for(path)
        if is_edited or is_other or hidden or merged_into:
            chosen |= dict.fromkeys([path, *hidden, *([merged_into] if merged_into else [])])
    return [path for path in chosen if not rules.is_instance(path) and not is_sensitive(path)]


def take_texts(
    machine: Machine, paths: Sequence[str], sizes: Mapping[str, int], image: Path | None, deadline: Deadline
) -> Texts:
    """Return the texts of ``paths`` on the endpoint in one round trip, and those in the directory of the image."""
    # Defaults come from the image where it is at hand.
    wanted = [path for path in paths if image is None or path.startswith("/etc/")]
    found = read_texts(machine, [path for path in wanted if sizes.get(path, LARGEST + 1) <= LARGEST], deadline)
    texts, digests = {}, {}
    for path, content in _read_image(image, paths):
        digests[path] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if (text := as_text(content)) is not None and len(content) <= LARGEST:
            texts[path] = text
    return Texts({path: hide(text) for path, text in found.items()}, {p: hide(t) for p, t in texts.items()}, digests)


def _read_image(image: Path | None, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for path in paths if image else ():
        file = image / path[1:] if image else Path(path)
        if file.is_file() and not file.is_symlink():
            yield path, file.read_bytes()


def hide(text: str) -> str:
    """Return a configuration without the secrets in it; the number of lines stays."""
    return _DIRECTIVE.sub(lambda match: f"{match['name']}[redacted]", redact(text))
