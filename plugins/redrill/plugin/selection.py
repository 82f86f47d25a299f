"""Which tests exist: one for each endpoint, or for each application of each endpoint, by name only."""

from collections.abc import Collection, Mapping

import pytest

from redrill.analysis.peers import MAJORITY_NEEDS, peers_of
from redrill.drill.evidence import recorded_endpoints
from redrill.laws.again import again_dir
from redrill.model.fleet import Endpoint
from redrill.model.values import Mode
from redrill.plugin.names import APPLICATION, ENDPOINT
from redrill.plugin.run import Run

_MODES: Mapping[str, tuple[Collection[Mode], str]] = {
    "drill": ([mode for mode in Mode if mode.is_destructive], "redeploys nothing"),
    "same host": ((Mode.REPLACE, Mode.VANILLA), "brings no endpoint back as itself"),
    "vanilla": ((Mode.VANILLA,), "boots nothing without its state"),
    "relocation": ((Mode.RELOCATE,), "makes no new host"),
}
"""What a run must do for a test to apply, and what else it does not do."""

_DECLARED = {
    "image": lambda endpoint: endpoint.image is not None,
    "provisioner": lambda endpoint: endpoint.provisioner is not None,
    "logging": lambda endpoint: endpoint.log_sink is not None,
    "desired_state": lambda endpoint: endpoint.desired_state is not None,
    "applications": lambda endpoint: bool(endpoint.applications),
    "neighbours": lambda endpoint: bool(endpoint.neighbours),
}


def parametrize(metafunc: pytest.Metafunc, run: Run) -> None:
    """Give a test that asks for an endpoint (and an application) one instance for each of them."""
    if ENDPOINT not in metafunc.fixturenames:
        return
    if APPLICATION in metafunc.fixturenames:
        pairs = [(endpoint.name, name) for endpoint in run.endpoints for name in endpoint.applications]
        metafunc.parametrize((ENDPOINT, APPLICATION), pairs, ids=["-".join(pair) for pair in pairs])
    else:
        metafunc.parametrize(ENDPOINT, run.names, ids=run.names)


def parameters_of(item: pytest.Item) -> dict[str, object]:
    """Return what a test is parametrised by; the one instance that stands for no endpoint or application has none."""
    callspec = getattr(item, "callspec", None)
    params: dict[str, object] = dict(callspec.params) if callspec else {}
    return {name: value for name, value in params.items() if name not in (ENDPOINT, APPLICATION) or type(value) is str}


def endpoint_of(item: pytest.Item) -> str | None:
    """Return the name of the endpoint that a test is about, None for any other test."""
    name = parameters_of(item).get(ENDPOINT)
    return name if isinstance(name, str) else None


def refuse_inapplicable(item: pytest.Item, run: Run) -> None:
    """Skip a test whose ``redrill_requires`` the endpoint or the mode does not meet, saying what is missing."""
    name = endpoint_of(item)
    if name is None:
        return
    endpoint = run.fleet.endpoint(name)
    for marker in item.iter_markers("redrill_requires"):
        for need in marker.args:
            missing = _missing(need, endpoint, run)
            if missing:
                pytest.skip(f"not applicable: {missing}")


def _missing(need: str, endpoint: Endpoint, run: Run) -> str:
    if need in _MODES:
        modes, what = _MODES[need]
        return "" if run.mode in modes else f"mode '{run.mode.value}' {what}"
    if need == "peers":
        return _missing_peers(endpoint, run)
    if need == "laws":
        return "" if again_dir(run.evidence_dir).is_dir() else "no second drill was made ('--redrill-laws')"
    if need not in _DECLARED:
        known = ", ".join(map(repr, ["peers", "laws", *_MODES, *_DECLARED]))
        raise pytest.UsageError(f"redrill_requires({need!r}) is unknown; known are {known}.")
    return "" if _DECLARED[need](endpoint) else f"endpoint '{endpoint.name}' declares no {need}"


def _missing_peers(endpoint: Endpoint, run: Run) -> str:
    if endpoint.role is None:
        return f"endpoint '{endpoint.name}' declares no role"
    recorded = set(peers_of(run.fleet, endpoint.name)) & set(recorded_endpoints(run.evidence_dir))
    if len(recorded) >= MAJORITY_NEEDS:
        return ""
    return f"{len(recorded)} endpoints of role '{endpoint.role}' were observed; a majority needs {MAJORITY_NEEDS}"
