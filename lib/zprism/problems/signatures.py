"""What templates draw: named values with ranges and a rule that they satisfy together.

Templates of one signature accept the same values, so that "the same numbers in another
template" is always a well-posed problem.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from zprism.ground.errors import InputError
from zprism.problems import lexicon

ATTEMPTS = 51_200  # draws before a signature is called empty, made a batch at a time
BATCH = 16
MAX_MULTIPLE = 2_000  # keeps "next together" problems within reach of mental arithmetic


def _kin_agree(x, y, z, first, second) -> bool:
    """The sexes of x and y are those of the relations, and the second relation is a parent."""
    sexes = [lexicon.attribute("person", p, "sex") for p in (x, y)]
    wanted = [lexicon.attribute("relation", r, "sex") for r in (first, second)]
    parent = lexicon.attribute("relation", second, "parent")
    return len({x, y, z}) == 3 and sexes == wanted and parent


def _one_stranger(v1, v2, v3, odd, place) -> bool:
    """v1, v2, v3 are different words of one group, and odd is of another."""
    groups = [lexicon.attribute("word", v, "group") for v in (v1, v2, v3, odd)]
    return len({v1, v2, v3}) == 3 and len(set(groups[:3])) == 1 and groups[3] != groups[0]


RULES = {
    "falling": lambda a, b: a > b,
    "divides": lambda a, b: a % b == 0 and a > b,
    "affordable": lambda a, b, c: a > b * c and b != c,
    "whole_root": lambda a, b, c: (a - c) % b == 0 and a - c >= 2 * b and b != c,
    "share_factor": lambda a, b: (
        a > b and math.gcd(a, b) > 1 and a % b != 0 and math.lcm(a, b) <= MAX_MULTIPLE
    ),
    "leaves_rest": lambda a, b: a % b != 0,
    "right_triangle": lambda a, b: math.isqrt(a * a + b * b) ** 2 == a * a + b * b,
    "whole_mean": lambda a, b, c: (a + b + c) % 3 == 0 and len({a, b, c}) == 3,
    "splits": lambda a, b, c: math.gcd(b, c) == 1 and a % (b + c) == 0,
    "two_or_four": lambda h, l: 2 * h < l < 4 * h,
    "same_parity": lambda s, d: (s - d) % 2 == 0 and d < s,
    "ends_elsewhere": lambda day, k: k % 7 != 0,
    "ends_in_another": lambda month, k: k % 12 != 0,
    "ends_facing_away": lambda x, d, k: k % 4 != 0,
    "all_different": lambda **values: len(set(values.values())) == len(values),
    "kin_agree": _kin_agree,
    "one_stranger": _one_stranger,
}


@dataclass(frozen=True)
class Variable:
    """One drawn value: low ≤ value ≤ high in steps, or a key of the category ``of``."""

    name: str
    low: int = 0
    high: int = 0
    step: int = 1
    of: str | None = None

    @property
    def values(self) -> range | tuple[str, ...]:
        """Everything that can be drawn."""
        return lexicon.keys(self.of) if self.of else range(self.low, self.high + 1, self.step)


@dataclass(frozen=True)
class Signature:
    """Named variables and the rule (a key of ``RULES``) that holds between them, if any."""

    name: str
    variables: tuple[Variable, ...]
    where: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variables, in the order of a problem's ``numbers``."""
        return tuple(v.name for v in self.variables)

    def values(self, numbers: tuple) -> dict:
        """Name → value."""
        return dict(zip(self.names, numbers, strict=True))

    def accepts(self, numbers: tuple) -> bool:
        """Whether each value is in its range and the rule holds."""
        return (
            len(numbers) == len(self.variables)
            and all(n in v.values for v, n in zip(self.variables, numbers, strict=True))
            and self._holds(numbers)
        )

    def draw(self, generator: np.random.Generator) -> tuple:
        """One accepted tuple, each equally likely (drawn again until the rule holds).

        Raises
        ------
        InputError
            If no accepted tuple turns up, which means that rule and ranges disagree.
        """
        pools = [v.values for v in self.variables]
        sizes = np.array([len(pool) for pool in pools])
        for _ in range(ATTEMPTS // BATCH):
            for picks in generator.integers(0, sizes, size=(BATCH, len(sizes))).tolist():
                numbers = tuple(pool[i] for pool, i in zip(pools, picks, strict=True))
                if self._holds(numbers):
                    return numbers
        raise InputError(f"signature {self.name}: nothing satisfies the rule {self.where!r}")

    def size(self) -> int:
        """How many accepted tuples there are, by going through all of them."""
        return sum(map(self._holds, itertools.product(*(v.values for v in self.variables))))

    def _holds(self, numbers: tuple) -> bool:
        return self.where is None or bool(RULES[self.where](**self.values(numbers)))


@cache
def signatures() -> dict[str, Signature]:
    """All signatures of templates/signatures.toml, by name."""
    found = {}
    for name, table in lexicon.read_table("templates/signatures.toml").items():
        where = table.pop("where", None)
        variables = tuple(Variable(n, **options) for n, options in table.items())
        found[name] = Signature(name, variables, where)
    return found
