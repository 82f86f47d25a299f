"""Laws of the fleet view: like endpoints have no outlier, and the one that differs is it, alone and wholly."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from redrill.analysis.outliers import find_outliers
from selftests.observed_samples import manifest_of, observe_sample, record_run

packages = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.sampled_from(["1", "2", "3"]), max_size=6)


def outliers_of(*installed: dict[str, str]) -> list[set[str]]:
    with tempfile.TemporaryDirectory() as folder:
        manifest = manifest_of(Path(folder), "m.jsonl")
        seen = {
            f"web-{n}": observe_sample(f"web-{n}", state_manifest=manifest, packages=each)
            for n, each in enumerate(installed)
        }
        drifts = record_run(Path(folder), seen)
        return [{each.subject for each in find_outliers(drift)} for drift in drifts.values()]


@settings(deadline=None, max_examples=25)
@given(packages, st.integers(3, 5))
def test_endpoints_that_are_alike_have_no_outlier(common: dict[str, str], number: int) -> None:
    assert outliers_of(*[common] * number) == [set()] * number


@settings(deadline=None, max_examples=25)
@given(packages, packages, st.integers(2, 4))
def test_the_one_that_differs_is_told_in_all_that_differs(
    common: dict[str, str], other: dict[str, str], number: int
) -> None:
    differing = {name for name in common.keys() | other.keys() if common.get(name) != other.get(name)}
    assert outliers_of(*[common] * number, other) == [set()] * number + [differing]
