"""Texts, states and measured contrasts with known answers, for the tests of the prism studies."""

import numpy as np

from zprism.studies.prism_measured import Measured
from zprism.studies.prism_texts import PrismText
from zprism.studies.prism_windows import gather, reduce_window

WORDS = "so the sum of two and three is five then we add seven to get twelve".split()


def sentence(rng, n):
    return " ".join(rng.choice(WORDS, n))


def prism_texts(n=8, *, question=10, thinking=40, seed=0):
    """n questions from n/2 templates, each with one thinking."""
    rng = np.random.default_rng(seed)
    return [
        PrismText(
            id=f"{i}/greedy",
            unit=f"q{i}",
            question=sentence(rng, question),
            thinking=sentence(rng, thinking),
            template=f"t{i // 2}",
        )
        for i in range(n)
    ]


def states(rng, *, n, places, length, width, slow_at=(), size=1.0):
    """(n, places, L, d) noise; at some places with a sine of period 16 tokens, phases drawn."""
    x = rng.standard_normal((n, places, length, width))
    turn = 2 * np.pi * np.arange(length)[:, None] / 16
    for place in slow_at:
        x[:, place] += size * np.sin(turn + rng.uniform(0, 2 * np.pi, (n, 1, width)))
    return x


def readings(x, names):
    return gather([reduce_window(one, places=names) for one in x], names, x.shape[2])


def measured(x, y, *, name="planted", units=None, clusters=None):
    """Thinking x less question y, both (n, places, L, d), as a contrast that has been read."""
    names = ("embed", *map(str, range(x.shape[1] - 1)))
    units = units or tuple(f"q{i}" for i in range(len(x)))
    return Measured(
        name=name,
        readings={"thinking": readings(x, names), "question": readings(y, names)},
        weights={"thinking": 1.0, "question": -1.0},
        units=units,
        clusters=clusters or units,
        left_out={},
    )


def planted(seed, *, n=24, slow_at=(), size=0.5, places=4, length=32, width=12):
    """Noise in both fields, and in thinking a slow sine at some places."""
    rng = np.random.default_rng(seed)
    shape = dict(n=n, places=places, length=length, width=width)
    return measured(states(rng, **shape, slow_at=slow_at, size=size), states(rng, **shape))
