"""Version: the endpoint runs what the fleet wants, and what it says about itself is true."""

import pytest

from redrill.analysis.drift import Drift, fact_of
from redrill.model.fleet import Endpoint
from redrill.model.record import DrillRecord
from redrill_suites.messages import tell


def release_of(drift: Drift, name: str) -> dict[str, str]:
    release = fact_of(drift.latest, name)
    assert isinstance(release, dict)
    return release


@pytest.mark.redrill_requires("image")
@pytest.mark.redrill_severity("critical")
def test_os_release_is_the_wanted_one(drift: Drift, endpoint: Endpoint) -> None:
    image = endpoint.image
    assert image
    release = release_of(drift, "vendor_release")
    wanted = {"IMAGE_ID": image.name, "IMAGE_VERSION": image.version, **image.os_release}
    wrong = [
        f"{key}: found {release.get(key)!r}, expected {value!r}"
        for key, value in wanted.items()
        if release.get(key) != value
    ]
    advice = "deploy the wanted image, or change 'image:' in the fleet file; /usr/lib/os-release is what counts."
    assert not wrong, tell(endpoint.name, "the operating system is not the wanted version", wrong, advice)


@pytest.mark.redrill_severity("critical")
def test_etc_os_release_is_that_of_the_system(drift: Drift, endpoint: Endpoint) -> None:
    shown, real = release_of(drift, "os_release"), release_of(drift, "vendor_release")
    wrong = [
        f"{key}: /etc says {shown.get(key)!r}, /usr {real.get(key)!r}"
        for key in sorted(shown | real)
        if shown.get(key) != real.get(key)
    ]
    advice = "make /etc/os-release a link to ../usr/lib/os-release: a restored copy hides the real version."
    assert not wrong, tell(
        endpoint.name, "/etc/os-release tells of another system than /usr/lib/os-release", wrong, advice
    )


@pytest.mark.redrill_requires("image")
def test_packages_have_the_wanted_versions(drift: Drift, endpoint: Endpoint) -> None:
    wanted = endpoint.image.packages if endpoint.image else {}
    if not wanted:
        pytest.skip(f"not applicable: the image of '{endpoint.name}' declares no wanted packages")
    packages = fact_of(drift.latest, "packages")
    assert isinstance(packages, dict)
    found = {name.partition(":")[0]: version for name, version in packages.items()}
    wrong = [
        f"{name}: found {found.get(name)}, expected {version}"
        for name, version in wanted.items()
        if found.get(name) != version
    ]
    advice = "build the image with the wanted versions, or change 'packages:' in the fleet file."
    assert not wrong, tell(endpoint.name, "packages are not of the wanted version", wrong, advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("critical")
def test_package_database_tells_the_truth(drift: Drift, record: DrillRecord, endpoint: Endpoint) -> None:
    if record.image_packages is None:
        pytest.skip("not applicable: the image has no package database")
    restored = fact_of(drift.latest, "packages")
    assert isinstance(restored, dict)
    real = record.image_packages
    lies = [
        f"{name}: the database says {restored.get(name)}, the image has {real.get(name)}"
        for name in sorted(restored.keys() | real.keys())
        if restored.get(name) != real.get(name)
    ]
    advice = (
        "the restored /var tells of other packages than /usr holds: install in the image, or keep the database in /usr."
    )
    assert not lies, tell(endpoint.name, "the package database tells of another system", lies, advice)
