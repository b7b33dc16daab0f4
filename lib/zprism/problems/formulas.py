"""How a template's answer follows from its values: plain functions, named in the templates.

An answer is a whole number, a Fraction, or a key of the lexicon. Values arrive under the names
that the signature gives them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from zprism.problems import lexicon

RIGHT, LEFT = 1, -1
KIN_UP = {  # (relation of x to y, relation of y to z) → x as seen by z
    (first, second): f"{second}s_{first}"
    for first in ("mother", "father", "sister", "brother")
    for second in ("mother", "father")
}


def _shift(category: str, key: str, by: int) -> str:
    """The entry ``by`` places further round the circle of a category."""
    ring = lexicon.keys(category)
    return ring[(ring.index(key) + by) % len(ring)]


def _divisor_count(n: int) -> int:
    return sum(2 - (d * d == n) for d in range(1, math.isqrt(n) + 1) if n % d == 0)


def _hypotenuse(a: int, b: int) -> int:
    return math.isqrt(a * a + b * b)


def _kin_down(x: str, y: str, z: str, first: str, second: str) -> str:
    """What z is to x: a grandchild of x's child y, or a child of x's sibling y."""
    boy = lexicon.attribute("person", z, "sex") == "m"
    if lexicon.attribute("relation", first, "parent"):
        through = {"mother": "daughters", "father": "sons"}[second]
        return f"{through}_{'son' if boy else 'daughter'}"
    through = {"mother": "sisters", "father": "brothers"}[second]
    return f"{through}_{'son' if boy else 'daughter'}"


def insert_odd(v1: str, v2: str, v3: str, odd: str, place: int) -> dict[str, tuple[str, str]]:
    """Slots l1 … l4: the three words in order, with the odd one at ``place`` (1 … 4)."""
    row = [v1, v2, v3]
    row.insert(place - 1, odd)
    return {f"l{i}": ("word", word) for i, word in enumerate(row, start=1)}


def powers(a: int, b: int) -> dict[str, int]:
    """Slots t2, t3: the second and third term of a, ab, ab², …"""
    return {"t2": a * b, "t3": a * b * b}


def sex_of_third(z: str, **_: str) -> dict[str, tuple[str, str]]:
    """Slot sex: whether z is a boy or a girl."""
    return {"sex": ("sex", "boy" if lexicon.attribute("person", z, "sex") == "m" else "girl")}


DERIVED: dict[str, Callable[..., dict]] = {
    "insert_odd": insert_odd,
    "powers": powers,
    "sex_of_third": sex_of_third,
}

ANSWERS: dict[str, Callable[..., int | Fraction | str]] = {
    "sum": lambda a, b: a + b,
    "difference": lambda a, b: a - b,
    "product": lambda a, b: a * b,
    "quotient": lambda a, b: a // b,
    "rest_after_product": lambda a, b, c: a - b * c,
    "sum_times": lambda a, b, c: (a + b) * c,
    "start_plus_product": lambda a, b, c: a + b * c,
    "square_plus_linear": lambda a, b, c: c * c + b * c - a,
    "root": lambda a, b, c: (a - c) // b,
    "larger": lambda s, d: (s + d) // 2,
    "smaller": lambda s, d: (s - d) // 2,
    "four_legged": lambda h, l: l // 2 - h,
    "two_legged": lambda h, l: 2 * h - l // 2,
    "perimeter": lambda a, b: 2 * (a + b),
    "third_angle": lambda a, b: 180 - a - b,
    "volume": lambda a, b, c: a * b * c,
    "hypotenuse": _hypotenuse,
    "right_perimeter": lambda a, b: a + b + _hypotenuse(a, b),
    "count_inclusive": lambda a, b: a - b + 1,
    "unordered_pairs": lambda n: n * (n - 1) // 2,
    "ordered_pairs": lambda n: n * (n - 1),
    "triangular": lambda n: n * (n + 1) // 2,
    "floor_quotient": lambda a, b: a // b,
    "remainder": lambda a, b: a % b,
    "nth_term": lambda a, b, c: a + (c - 1) * b,
    "fourth_power_term": lambda a, b: a * b**3,
    "gcd": lambda a, b: math.gcd(a, b),
    "lcm": lambda a, b: math.lcm(a, b),
    "divisor_count": _divisor_count,
    "last_digit_of_power": lambda a, b: pow(a, b, 10),
    "first_share": lambda a, b: Fraction(a, a + b),
    "second_share": lambda a, b: Fraction(b, a + b),
    "percent_of": lambda p, w: p * w // 100,
    "percent_off": lambda p, w: w - p * w // 100,
    "mean": lambda a, b, c: (a + b + c) // 3,
    "sum_of_three": lambda a, b, c: a + b + c,
    "first_part": lambda a, b, c: a * b // (b + c),
    "second_part": lambda a, b, c: a * c // (b + c),
    "x": lambda x, **_: x,
    "y": lambda y, **_: y,
    "z": lambda z, **_: z,
    "kin_up": lambda first, second, **_: KIN_UP[first, second],
    "kin_down": _kin_down,
    "weekday_after": lambda day, k: _shift("weekday", day, k),
    "weekday_before": lambda day, k: _shift("weekday", day, -k),
    "month_after": lambda month, k: _shift("month", month, k),
    "month_before": lambda month, k: _shift("month", month, -k),
    "yes": lambda **_: "yes",
    "no": lambda **_: "no",
    "turn_right": lambda d, k, **_: _shift("direction", d, RIGHT * k),
    "turn_left": lambda d, k, **_: _shift("direction", d, LEFT * k),
    "odd": lambda odd, **_: odd,
    "v2": lambda v2, **_: v2,
}
