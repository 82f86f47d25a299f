"""Defaults, role and endpoint folded into one mapping that still knows where everything came from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redrill.model.strict_yaml import DocPath

BACKEND_GROUPS = {"provisioner": "provisioners", "repository": "repositories", "log_sink": "collectors"}
"""The keys of an endpoint that name a backend, with the group that the backend is of."""


NESTED_BACKEND_GROUPS = {"relocate.provisioner": "provisioners"}
"""The same for keys further down, which replace whatever a weaker layer says."""

FLEET_BACKEND_GROUPS = {"locks": "locks", "ledger": "ledgers"}
"""The same for the keys of the fleet itself."""

ADDITIVE = frozenset({"churn", "ephemeral", "ignore"})
"""The lists of an endpoint whose entries on all levels add up: a rule for one endpoint takes no other rule back."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A value and where it stands in the document."""

    data: Any
    origin: DocPath


@dataclass(frozen=True, slots=True)
class Folded:
    """Folded data, and the places in the document that its values came from."""

    data: dict[str, Any]
    origins: dict[DocPath, DocPath] = field(default_factory=dict)

    def origin_of(self, path: DocPath) -> DocPath:
        """Return where a value of the folded data stands, or would stand, in the document."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.origins:
                return (*self.origins[path[:length]], *path[length:])
        return path


def fold(layers: Sequence[Layer]) -> Folded:
    """Fold mappings, the weakest first: they merge deeply and the lists of rules add up.

    All else replaces, as does a backend of another kind.
    """
    folded = Folded({})
    folded.data.update(_fold_mappings(layers, (), folded.origins))
    return folded


def _fold_mappings(layers: Sequence[Layer], path: DocPath, origins: dict[DocPath, DocPath]) -> dict[str, Any]:
    origins[path] = layers[-1].origin
    keys = dict.fromkeys(key for layer in layers for key in layer.data)
    return {key: _fold_values(_layers_at(key, layers), (*path, key), origins) for key in keys}


def _layers_at(key: str, layers: Sequence[Layer]) -> list[Layer]:
    return [Layer(layer.data[key], (*layer.origin, key)) for layer in layers if key in layer.data]


def _fold_values(layers: Sequence[Layer], path: DocPath, origins: dict[DocPath, DocPath]) -> Any:
    given = [layer for layer in layers if layer.data is not None]
    if len(path) == 1 and path[0] in ADDITIVE and given and all(isinstance(layer.data, list) for layer in given):
        return _add_lists(given, path, origins)
    kept: list[Layer] = []
    is_backend = len(path) == 1 and path[0] in BACKEND_GROUPS
    for layer in layers:
        if not _merges(kept, layer, is_backend):
            kept = []
        kept.append(layer)
    if isinstance(kept[-1].data, dict):
        return _fold_mappings(kept, path, origins)
    origins[path] = kept[-1].origin
    return kept[-1].data


def _add_lists(layers: Sequence[Layer], path: DocPath, origins: dict[DocPath, DocPath]) -> list[Any]:
    origins[path] = layers[-1].origin
    items: list[Any] = []
    for layer in layers:
        for index, item in enumerate(layer.data):
            if item not in items:
                origins[(*path, len(items))] = (*layer.origin, index)
                items.append(item)
    return items


def _merges(kept: Sequence[Layer], layer: Layer, is_backend: bool) -> bool:
    if not (kept and isinstance(kept[-1].data, dict) and isinstance(layer.data, dict)):
        return False
    if not is_backend or "kind" not in layer.data:
        return True
    return all(weaker.data.get("kind", layer.data["kind"]) == layer.data["kind"] for weaker in kept)
