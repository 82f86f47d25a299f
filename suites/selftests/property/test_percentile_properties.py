"""Laws of percentiles and of the judgement that rests on them."""

from hypothesis import given
from hypothesis import strategies as st

from redrill.ledger.baseline import LEAST, MOST, NOISE_SECONDS, slower_than_usual
from redrill.ledger.percentiles import NEVER, percentile

TIMES = st.lists(st.floats(0, 1e6) | st.just(NEVER), min_size=1, max_size=50)
SECONDS = st.floats(0, 1e5)
EARLIER = st.lists(SECONDS, min_size=LEAST, max_size=MOST)
PERCENT = st.floats(1e-3, 100)


@given(times=TIMES, percent=PERCENT)
def test_it_is_the_least_value_that_enough_do_not_exceed(times, percent):
    found = percentile(times, percent)
    assert found in times
    assert sum(time <= found for time in times) * 100 >= percent * len(times) * (1 - 1e-12)
    assert sum(time < found for time in times) * 100 < percent * len(times)


@given(times=TIMES, percents=st.tuples(PERCENT, PERCENT))
def test_more_percent_is_never_less_time(times, percents):
    assert percentile(times, min(percents)) <= percentile(times, max(percents))


@given(times=TIMES, percent=PERCENT, seed=st.randoms())
def test_the_order_of_drills_does_not_matter(times, percent, seed):
    shuffled = seed.sample(times, len(times))
    assert percentile(shuffled, percent) == percentile(times, percent)


@given(earlier=EARLIER, took=SECONDS, more=SECONDS, percent=st.floats(0.1, 1000))
def test_whoever_takes_longer_than_one_that_has_slowed_down_has_too(earlier, took, more, percent):
    if slower_than_usual(took, earlier, percent) is not None:
        assert slower_than_usual(took + more, earlier, percent) is not None


@given(earlier=EARLIER, percent=st.floats(0.1, 1000))
def test_nobody_has_slowed_down_who_is_as_fast_as_half_of_those_before(earlier, percent):
    median = percentile(earlier, 50)
    assert slower_than_usual(median, earlier, percent) is None
    assert slower_than_usual(median + NOISE_SECONDS * 0.99, earlier, percent) is None
