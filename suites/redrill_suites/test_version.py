"""Version: the endpoint runs what the fleet wants, and what it says about itself is true."""

import pytest

from redrill.analysis.drift import Drift
from redrill_suites.judging import judge_promise


@pytest.mark.redrill_requires("image")
@pytest.mark.redrill_severity("critical")
def test_os_release_is_the_wanted_one(drift: Drift) -> None:
    advice = "deploy the wanted image, or change 'image:' in the fleet file; /usr/lib/os-release is what counts."
    judge_promise(drift, "os release", "the operating system is not the wanted version", advice)


@pytest.mark.redrill_severity("critical")
def test_etc_os_release_is_that_of_the_system(drift: Drift) -> None:
    advice = "make /etc/os-release a link to ../usr/lib/os-release: a restored copy hides the real version."
    judge_promise(drift, "shown release", "/etc/os-release tells of another system than /usr/lib/os-release", advice)


@pytest.mark.redrill_requires("image")
def test_packages_have_the_wanted_versions(drift: Drift) -> None:
    advice = "build the image with the wanted versions, or change 'packages:' in the fleet file."
    judge_promise(drift, "wanted packages", "packages are not of the wanted version", advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("critical")
def test_package_database_tells_the_truth(drift: Drift) -> None:
    advice = (
        "the restored /var tells of other packages than /usr holds: install in the image, or keep the database in /usr."
    )
    judge_promise(drift, "package database", "the package database tells of another system", advice)
