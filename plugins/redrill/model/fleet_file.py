"""From the text of a fleet file to a Fleet, or to every mistake in it with its place."""

import hashlib
import ipaddress
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from redrill.errors import FleetError
from redrill.model.absolute_paths import with_absolute_paths
from redrill.model.fleet import Backend, Endpoint, Fleet, Name
from redrill.model.folding import (
    BACKEND_GROUPS,
    FLEET_BACKEND_GROUPS,
    NESTED_BACKEND_GROUPS,
    Folded,
    Layer,
    fold,
)
from redrill.model.guards import Guards
from redrill.model.mistakes import explain, place_of, suggest
from redrill.model.needs import applications_of, find_circle, unknown_references
from redrill.model.secret import SecretValue, secrets_in
from redrill.model.strict_yaml import DocPath, Document, Mark, Mistake, parse_yaml
from redrill.model.values import Value
from redrill.redaction import register

NOT_SHARED = frozenset({"name", "role", "address"})
"""What only one endpoint can have, so neither the defaults nor a role."""

SettingsOf = Callable[[str, str], type[BaseModel]]
Reveal = Callable[[SecretValue], object]
FaultOf = Callable[[Path], str]
M = TypeVar("M", bound=BaseModel)


class FleetFile(Value):
    """The top level of a fleet file; the layers are judged once they are folded."""

    fleet: Name
    environment: str = "unnamed"
    disposable: bool = False
    locks: Backend | None = None
    ledger: Backend | None = None
    guards: Guards = Guards()
    waivers: Path | None = None
    defaults: dict[str, Any] | None = None
    roles: dict[Name, dict[str, Any] | None] | None = None
    endpoints: dict[Name, dict[str, Any] | None]


def parse_fleet(
    text: bytes,
    source: Path,
    settings_of: SettingsOf,
    reveal: Reveal | None = None,
    fault_of_key: FaultOf | None = None,
) -> Fleet:
    """Return the fleet that a file declares; FleetError with every mistake as ``file:line:column: path: message``.

    ``settings_of(group, kind)`` returns the settings model of a backend and raises FleetError when there is none.
    Relative paths in the file are taken from the folder of ``source``. ``reveal``, when given, is called with every
    secret and raises FleetError when it cannot be had; a secret that stands in the file itself is warned of.
    ``fault_of_key``, when given, says of every SSH key what is wrong with that file, '' when nothing is.
    """
    reader = _Reader(parse_yaml(text, str(source)), source, settings_of, reveal, fault_of_key)
    fleet = reader.read(hashlib.sha256(text).hexdigest())
    if fleet is None or reader.mistakes:
        raise FleetError(*(mistake.render(str(source)) for mistake in sorted(reader.mistakes, key=_order)))
    return fleet


def _order(mistake: Mistake) -> tuple[Mark, str]:
    return mistake.mark, mistake.message


class _Reader:
    def __init__(
        self,
        document: Document,
        source: Path,
        settings_of: SettingsOf,
        reveal: Reveal | None,
        fault_of_key: FaultOf | None,
    ) -> None:
        self._document = document
        self._source = source.absolute()
        self._settings_of = settings_of
        self._reveal = reveal
        self._fault_of_key = fault_of_key
        self._known_keys: dict[Path, str] = {}
        self._known_settings: dict[tuple[str, str], type[BaseModel] | str] = {}
        # A dictionary, for what stems from one place is one mistake however many endpoints inherit it.
        self._mistakes: dict[tuple[Mark, str], Mistake] = {}
        for mistake in document.mistakes:
            self._note(mistake.mark, mistake.path, mistake.message)

    @property
    def mistakes(self) -> list[Mistake]:
        return list(self._mistakes.values())

    def read(self, digest: str) -> Fleet | None:
        data = self._document.data
        if not isinstance(data, dict):
            what = "is empty" if data is None else "is not a mapping"
            self._note_at((), f"the file {what}; give it the keys 'fleet' and 'endpoints'.")
            return None
        body = Folded(dict(data), {(): ()})
        self._check_backends(body, FLEET_BACKEND_GROUPS)
        top = self._check_top(body)
        bodies = _mapping(data.get("endpoints"))
        if "endpoints" in data and not bodies:
            self._note_at(("endpoints",), "no endpoints are declared; declare at least one.")
        folded = {name: self._fold(name) for name in bodies}
        endpoints = [self._read_endpoint(name, layers) for name, layers in folded.items()]
        self._check_unused_roles(data)
        self._check_addresses(folded)
        self._check_new_hosts(folded)
        self._check_groups(top, set(bodies))
        self._check_references(folded, [endpoint for endpoint in endpoints if endpoint])
        if top is None or None in endpoints or self._mistakes:
            return None
        return Fleet(
            name=top.fleet,
            environment=top.environment,
            disposable=top.disposable,
            locks=top.locks,
            ledger=top.ledger,
            guards=top.guards,
            waivers=top.waivers,
            source=self._source,
            digest=digest,
            endpoints=tuple(endpoint for endpoint in endpoints if endpoint),
        )

    def _check_top(self, body: Folded) -> FleetFile | None:
        top = self._check(FleetFile, body)
        return top and self._check(FleetFile, Folded(self._resolve(body.data, top, body, ()), body.origins))

    def _check_groups(self, top: FleetFile | None, names: set[str]) -> None:
        for index, name in top.guards.unknown_members(names) if top else ():
            advice = suggest(name, sorted(names))
            self._note_at(("guards", "anti_affinity", index), f"there is no endpoint '{name}'; {advice}")

    def _check_references(self, folded: Mapping[str, Folded], endpoints: Sequence[Endpoint]) -> None:
        """Check what applications need and neighbours are; with an endpoint missing nobody knows what there is."""
        if len(endpoints) < len(folded):
            return
        known = applications_of(endpoints)
        for (name, *path), wanted in unknown_references(endpoints):
            advice = suggest(wanted, sorted(known))
            self._note_at(folded[str(name)].origin_of(tuple(path)), f"there is no application '{wanted}'; {advice}")
        if circle := find_circle(known):
            name, _, application = circle[0].partition("/")
            told = " needs ".join(f"'{each}'" for each in (*circle, circle[0]))
            place = ("applications", application, "needs", circle[1 % len(circle)])
            self._note_at(folded[name].origin_of(place), f"{told}: none of them can be first. Take one need out.")

    def _fold(self, name: str) -> Folded:
        body = self._layer(("endpoints", name), frozenset({"name"}))
        role = body.data.get("role")
        layers = [self._layer(("defaults",), NOT_SHARED)]
        if isinstance(role, str):
            roles = _mapping(self._document.data.get("roles"))
            if role in roles:
                layers.append(self._layer(("roles", role), NOT_SHARED))
            else:
                advice = suggest(role, sorted(roles)) if roles else "declare it under 'roles', or remove it."
                self._note_at((*body.origin, "role"), f"there is no role '{role}'; {advice}")
        return fold([*layers, body])

    def _layer(self, path: DocPath, refused: frozenset[str]) -> Layer:
        """Return a layer without what cannot stand there, which is noted."""
        data: Any = self._document.data
        for part in path:
            data = _mapping(data).get(str(part))
        for key in refused & _mapping(data).keys():
            self._note_at((*path, key), f"'{key}' cannot stand here; {_where(key)}.", is_key=True)
        return Layer({key: value for key, value in _mapping(data).items() if key not in refused}, path)

    def _read_endpoint(self, name: str, folded: Folded, *, is_partial: bool = False) -> Endpoint | None:
        self._check_backends(folded, BACKEND_GROUPS | NESTED_BACKEND_GROUPS, is_partial=is_partial)
        endpoint = self._check(Endpoint, folded, is_partial=is_partial, name=name)
        if endpoint is None:
            return None
        data = self._resolve({**folded.data, "name": name}, endpoint, folded, ())
        resolved = self._check(Endpoint, Folded(data, folded.origins))
        if resolved and resolved.ssh.key:
            self._check_key(resolved.ssh.key, folded.origin_of(("ssh", "key")))
        for path, secret in secrets_in(resolved and resolved.applications, ("applications",)):
            if isinstance(secret, SecretValue) and not is_partial:
                self._try_to_reveal(secret, folded.origin_of(path))
        return resolved

    def _check_key(self, key: Path, place: DocPath) -> None:
        """Note what is wrong with the file of an SSH key; it is read once, however many endpoints share it."""
        if self._fault_of_key and key not in self._known_keys:
            self._known_keys[key] = self._fault_of_key(key)
        if fault := self._known_keys.get(key):
            self._note_at(place, fault)

    def _check_backends(self, folded: Folded, groups: Mapping[str, str], *, is_partial: bool = False) -> None:
        """Check the settings of each backend and make their paths absolute; a dot in a key leads further down."""
        for key, group in groups.items():
            *path, last = at = tuple(key.split("."))
            holder = folded.data
            for part in path:
                holder = _mapping(holder.get(part))
            backend = holder.get(last)
            kind = backend.get("kind") if isinstance(backend, dict) else None
            if not isinstance(backend, dict) or not isinstance(kind, str):
                continue
            model = self._find_settings(group, kind)
            if isinstance(model, str):
                self._note_at(folded.origin_of((*at, "kind")), model)
                continue
            settings = {name: value for name, value in backend.items() if name != "kind"}
            checked = self._check(model, Folded(settings, folded.origins), at=at, is_partial=is_partial)
            if checked is not None:
                settings = self._resolve(settings, checked, folded, at)
                holder[last] = {"kind": kind, **settings}
                if not is_partial:
                    self._check_secrets(model, Folded(settings, folded.origins), at)

    def _check_secrets(self, model: type[BaseModel], folded: Folded, at: DocPath) -> None:
        """Reveal the secrets of settings whose paths are absolute by now."""
        for path, secret in secrets_in(self._check(model, folded, at)):
            place = folded.origin_of((*at, *path))
            if isinstance(secret, SecretValue):
                self._try_to_reveal(secret, place)
            else:
                register(secret)
                self._warn_of_secret(place)

    def _try_to_reveal(self, secret: SecretValue, place: DocPath) -> None:
        try:
            if self._reveal is not None:
                self._reveal(secret)
        except FleetError as error:
            self._note_at(place, str(error))

    def _warn_of_secret(self, place: DocPath) -> None:
        if self._reveal is not None:
            advice = "whoever reads the file knows it. Keep it elsewhere and let the file say where."
            mistake = Mistake(
                self._document.mark_at(place), place, f"a secret stands in the fleet file itself: {advice}"
            )
            warnings.warn(mistake.render(str(self._source)), stacklevel=2)

    def _find_settings(self, group: str, kind: str) -> type[BaseModel] | str:
        """Return the settings model of a backend, or what is wrong with its kind."""
        if (group, kind) not in self._known_settings:
            try:
                self._known_settings[group, kind] = self._settings_of(group, kind)
            except FleetError as error:
                self._known_settings[group, kind] = str(error)
        return self._known_settings[group, kind]

    def _check_unused_roles(self, data: Mapping[str, Any]) -> None:
        """Check what no endpoint uses as far as that can be done alone: something may be left to the endpoint."""
        used = [_mapping(body).get("role") for body in _mapping(data.get("endpoints")).values()]
        for role in _mapping(data.get("roles")):
            if role not in used:
                layer = self._layer(("roles", role), NOT_SHARED)
                self._read_endpoint("unused", fold([layer]), is_partial=True)

    def _check_addresses(self, folded: Mapping[str, Folded]) -> None:
        seen: dict[tuple[str, int], DocPath] = {}
        new_hosts = [(layers, _mapping(layers.data.get("relocate")), ("relocate",)) for layers in folded.values()]
        for layers, host, at in [*((layers, layers.data, ()) for layers in folded.values()), *new_hosts]:
            address, port = host.get("address"), _mapping(layers.data.get("ssh")).get("port", 22)
            if not (isinstance(address, str) and isinstance(port, int)):
                continue
            origin = layers.origin_of((*at, "address"))
            first = seen.setdefault((_normal(address), port), origin)
            if first is not origin:
                line, column = self._document.mark_at(first)
                owner = f"the address '{address}' with port {port} is already that of '{first[1]}', at {line}:{column}"
                self._note_at(origin, f"{owner}; give each endpoint its own.")

    def _check_new_hosts(self, folded: Mapping[str, Folded]) -> None:
        """Check that no new host has the name of an endpoint, or of another new host."""
        seen = set(folded)
        for layers in folded.values():
            name = _mapping(layers.data.get("relocate")).get("name")
            if not isinstance(name, str):
                continue
            if name in seen:
                place = layers.origin_of(("relocate", "name"))
                self._note_at(place, f"another host is already called '{name}'; give the new one a name of its own.")
            seen.add(name)

    def _check(
        self, model: type[M], folded: Folded, at: DocPath = (), *, is_partial: bool = False, **given: str
    ) -> M | None:
        """Return the model of the folded data, which stands at ``at``; None when mistakes were noted."""
        try:
            # Through JSON, for only there does strictness (no 'yes' for true, no '022' for 22) allow lists for tuples.
            return model.model_validate_json(json.dumps({**folded.data, **given}), strict=True)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                is_given = detail["loc"][:1] in {(key,) for key in given}
                if not is_given and not (is_partial and _is_incomplete(detail)):
                    path, is_key = place_of(detail, {**folded.data, **given})
                    self._note_at(folded.origin_of((*at, *path)), explain(detail, model, given), is_key=is_key)
        return None

    def _resolve(self, data: dict[str, Any], model: BaseModel, folded: Folded, at: DocPath) -> dict[str, Any]:
        def report(path: DocPath, message: str) -> None:
            self._note_at(folded.origin_of((*at, *path)), message)

        return with_absolute_paths(data, model, self._source.parent, report)

    def _note_at(self, path: DocPath, message: str, *, is_key: bool = False) -> None:
        self._note(self._document.mark_at(path, is_key=is_key), path, message)

    def _note(self, mark: Mark, path: DocPath, message: str) -> None:
        self._mistakes.setdefault((mark, message), Mistake(mark, path, message))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_incomplete(detail: ErrorDetails) -> bool:
    return detail["type"] == "missing" or (detail["type"] == "value_error" and isinstance(detail["input"], dict))


def _where(key: str) -> str:
    return "the key above it is the name" if key == "name" else "write it at the endpoint that it belongs to"


def _normal(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address.rstrip(".").lower()
