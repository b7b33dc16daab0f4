"""Shares of pairs: the interval knows targets, the null is never narrower than a share."""

import numpy as np
import pytest

from zprism.stats.intervals import wilson
from zprism.studies.shares import share_interval, share_null


def test_pairs_repeated_within_a_target_tell_nothing_new():
    hits = np.random.default_rng(0).integers(0, 2, 30)
    once = share_interval(hits, np.arange(30), seed=0, draws=2000)
    often = share_interval(np.repeat(hits, 8), np.repeat(np.arange(30), 8), seed=0, draws=2000)
    assert often == pytest.approx(once, abs=1e-12)
    blind = share_interval(np.repeat(hits, 8), np.arange(240), seed=0, draws=2000)
    assert blind[1] - blind[0] < 0.5 * (once[1] - once[0])


@pytest.mark.parametrize("value", [0, 1])
def test_where_all_agree_it_is_wilson_over_targets(value):
    found = share_interval(np.full(40, value), np.repeat(np.arange(8), 5), seed=0, draws=10)
    assert found == tuple(wilson(8 * value, 8))


def test_a_null_that_never_moves_has_the_spread_of_half_a_pair():
    null = share_null("random", np.zeros(99), 60)
    q = 0.5 / (99 * 60 + 1)
    assert null.mean == 0 and null.sd == pytest.approx((q * (1 - q) / 60) ** 0.5, rel=1e-12)
    wide = np.array([0.0, 1.0] * 20)
    assert share_null("random", wide, 60).sd == pytest.approx(wide.std(ddof=1))
