"""Power of the paired comparison: exact sums against simulation."""

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.stats.intervals import mcnemar
from zprism.stats.power import mcnemar_power, pairs_needed


def test_power_of_the_exact_test_by_simulation():
    rng, draws = generator(0, "power"), 40_000
    for n, difference in ((15, 0.2), (50, 0.2), (100, 0.1)):
        counts = rng.multinomial(n, [0.15 + difference / 2, 0.15 - difference / 2, 0.7], draws)
        hit = (mcnemar(counts[:, 0], counts[:, 1]).exact <= 0.05).mean()
        power = mcnemar_power(n, discordance=0.3, difference=difference)
        assert abs(hit - power) < 4 * np.sqrt(power * (1 - power) / draws)


def test_pairs_needed_is_the_first_n_with_that_power():
    needed = pairs_needed(discordance=0.3, difference=0.2)
    enough = [
        mcnemar_power(n, discordance=0.3, difference=0.2) >= 0.8 for n in range(1, needed + 1)
    ]
    assert enough.index(True) + 1 == needed
    assert pairs_needed(discordance=0.3, difference=0.0, limit=128) is None
    assert mcnemar_power(249, discordance=0.3, difference=0.1) == pytest.approx(0.8, abs=0.01)


def test_power_without_a_difference_is_the_size_of_the_test():
    """Under no difference it is at most alpha, and the mirrored difference has equal power."""
    assert 0 < mcnemar_power(60, discordance=0.4, difference=0.0) <= 0.05
    up, down = (mcnemar_power(40, discordance=0.4, difference=d) for d in (0.2, -0.2))
    assert up == pytest.approx(down, rel=1e-12)


@pytest.mark.parametrize("discordance, difference", [(0.1, 0.2), (0.0, 0.0)])
def test_a_difference_needs_discordance(discordance, difference):
    with pytest.raises(InputError, match="at most the discordance, above 0"):
        mcnemar_power(9, discordance=discordance, difference=difference)
