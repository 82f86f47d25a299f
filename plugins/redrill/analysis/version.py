"""What an endpoint says that it runs against what it runs and what the fleet wants."""

from collections.abc import Mapping

from redrill.analysis.drift import Drift, fact_of
from redrill.model.finding import Finding, Severity

_Texts = Mapping[str, str | None]


def find_other_release(drift: Drift) -> list[Finding]:
    """Return where the operating system is not the version that the image in the fleet file names."""
    image = drift.endpoint.image
    wanted = {"IMAGE_ID": image.name, "IMAGE_VERSION": image.version, **image.os_release} if image else {}
    found = _texts(drift, "vendor_release")
    return _other_version(drift, "os release", Severity.CRITICAL, found, wanted)


def find_hidden_release(drift: Drift) -> list[Finding]:
    """Return where /etc/os-release tells of another system than the one in /usr."""
    shown, real = _texts(drift, "os_release"), _texts(drift, "vendor_release")
    return _untrue(drift, "shown release", shown, real)


def find_unwanted_packages(drift: Drift) -> list[Finding]:
    """Return the packages that are not of the version that the image in the fleet file names."""
    wanted = drift.endpoint.image.packages if drift.endpoint.image else {}
    found = {name.partition(":")[0]: version for name, version in _texts(drift, "packages").items()}
    return _other_version(drift, "wanted packages", Severity.MAJOR, found, wanted)


def find_package_lies(drift: Drift) -> list[Finding]:
    """Return the packages of which the restored database tells otherwise than that of the fresh image did."""
    return _untrue(drift, "package database", _texts(drift, "packages"), drift.record.image_packages or {})


def _other_version(drift: Drift, promise: str, severity: Severity, found: _Texts, wanted: _Texts) -> list[Finding]:
    why = "the endpoint does not run the version that was approved for it"
    grade = ("other version", severity, why)
    return _compare(drift, promise, grade, {key: found.get(key) for key in wanted}, wanted)


def _untrue(drift: Drift, promise: str, told: _Texts, real: _Texts) -> list[Finding]:
    grade = ("untrue", Severity.MAJOR, "updates, scanners and people go by it")
    return _compare(drift, promise, grade, told, real)


def _compare(
    drift: Drift, promise: str, grade: tuple[str, Severity, str], found: _Texts, expected: _Texts
) -> list[Finding]:
    kind, severity, why = grade
    return [
        Finding(
            promise=promise,
            kind=kind,
            endpoint=drift.endpoint.name,
            subject=key,
            detail=f"found {_show(found.get(key))}, expected {_show(expected.get(key))}",
            severity=severity,
            why=why,
        )
        for key in sorted(found.keys() | expected.keys())
        if found.get(key) != expected.get(key)
    ]


def _texts(drift: Drift, name: str) -> _Texts:
    value = fact_of(drift.latest, name)
    return value if isinstance(value, dict) else {}


def _show(value: str | None) -> str:
    return "none" if value is None else f"'{value}'"
