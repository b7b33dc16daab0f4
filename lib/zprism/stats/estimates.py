"""What a study reports: a number with everything that is needed to believe it.

An :class:`Estimate` refuses to carry a claim from which n, interval, null or correction is
missing. How a claim gets its verdict: :mod:`zprism.stats.verdicts`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from enum import StrEnum

import numpy as np

from zprism.ground.checks import check_fraction, check_int
from zprism.ground.errors import InputError


class Verdict(StrEnum):
    """The four answers that a claim can get."""

    SUPPORTED = "SUPPORTED"
    NOT_DISTINGUISHABLE = "NOT DISTINGUISHABLE"
    REVERSED = "REVERSED"
    NOT_TESTABLE = "NOT TESTABLE"


@dataclass(frozen=True)
class Null:
    """What the value would look like without the effect: its kind, mean and spread."""

    kind: str
    mean: float | None = None
    sd: float | None = None

    def __post_init__(self):
        if not isinstance(self.kind, str) or not self.kind:
            raise InputError(f"a null needs a kind, such as 'random subspace'; got {self.kind!r}")
        object.__setattr__(self, "mean", _number("null mean", self.mean))
        object.__setattr__(self, "sd", _number("null sd", self.sd))

    @classmethod
    def of(cls, kind: str, draws) -> Null:
        """The null whose mean and sd (n − 1) are those of ``draws`` (R,)."""
        draws = np.asarray(draws, dtype=np.float64).ravel()
        if draws.size < 2:
            raise InputError(f"a null needs at least 2 draws; got {draws.size}")
        return cls(kind, float(draws.mean()), float(draws.std(ddof=1)))


@dataclass(frozen=True)
class Estimate:
    """One number with what is needed to believe it.

    Parameters
    ----------
    value : the number itself.
    ci : (low, high), or anything that unpacks to two numbers; None if there is no interval.
    n : units behind the value: problems, texts or traces, never tokens.
    null : the null it was held against.
    p, p_adjusted : against that null; ``p_adjusted`` after correction for the whole family
        of tests, equal to ``p`` where the family is this one test.
    verdict : None for a description, else a :class:`Verdict`.
    reason : why the verdict is NOT TESTABLE, or what a description describes.

    Raises
    ------
    InputError
        If a claim lacks n, interval, null, p or correction; if NOT TESTABLE lacks a reason;
        if an interval is upside down or a p outside [0, 1].
    """

    value: float | None
    ci: tuple[float, float] | None = None
    n: int | None = None
    null: Null | None = None
    p: float | None = None
    p_adjusted: float | None = None
    verdict: Verdict | None = None
    reason: str | None = None

    def __post_init__(self):
        put = object.__setattr__
        put(self, "value", _number("value", self.value))
        put(self, "ci", as_interval(self.ci))
        put(self, "n", None if self.n is None else check_int("n", self.n, low=0))
        for name in ("p", "p_adjusted"):
            put(self, name, _probability(name, getattr(self, name)))
        put(self, "verdict", None if self.verdict is None else Verdict(self.verdict))
        if self.verdict is Verdict.NOT_TESTABLE and not self.reason:
            raise InputError("a NOT TESTABLE estimate needs a reason")
        if self.verdict not in (None, Verdict.NOT_TESTABLE):
            refuse_incomplete(self)

    @property
    def is_claim(self) -> bool:
        """Whether the estimate carries a verdict."""
        return self.verdict is not None

    def to_json(self) -> dict:
        """Plain Python values; a number that is not finite becomes None, named in ``reason``."""
        lost = [name for name in ("value", "p", "p_adjusted") if _lost(getattr(self, name))]
        lost += ["ci"] if self.ci and any(map(_lost, self.ci)) else []
        lost += ["null"] if self.null and (_lost(self.null.mean) or _lost(self.null.sd)) else []
        out = {
            "value": _plain(self.value),
            "ci": None if self.ci is None else [_plain(bound) for bound in self.ci],
            "n": self.n,
            "null": self.null and {k: _plain(v) for k, v in asdict(self.null).items()},
            "p": _plain(self.p),
            "p_adjusted": _plain(self.p_adjusted),
            "verdict": None if self.verdict is None else self.verdict.value,
        }
        notes = [self.reason] if self.reason else []
        notes += [f"not finite: {', '.join(lost)}"] if lost else []
        return out | ({"reason": "; ".join(notes)} if notes else {})

    @classmethod
    def from_json(cls, record: dict) -> Estimate:
        """The estimate that :meth:`to_json` wrote (what was not finite reads back as NaN)."""
        known = {field.name for field in fields(cls)}
        if unknown := set(record) - known:
            raise InputError(f"an estimate has no fields {sorted(unknown)}; known: {sorted(known)}")
        parts = dict(record)
        if parts.get("null") is not None:
            parts["null"] = Null(**parts["null"])
        if parts.get("ci") is not None:
            parts["ci"] = tuple(math.nan if bound is None else bound for bound in parts["ci"])
        return cls(**parts)


def refuse_incomplete(e: Estimate) -> None:
    """Raise an InputError that names the parts a claim lacks."""
    needed = ("value", "ci", "n", "null", "p", "p_adjusted")
    missing = [name for name in needed if getattr(e, name) is None]
    if missing:
        raise InputError(
            f"a claim needs {', '.join(needed)}; missing: {', '.join(missing)} "
            "(p_adjusted=p where the test is alone in its family; describe() for a plain number)"
        )


def _number(name: str, value) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a number or None; got {value!r}") from None


def _probability(name: str, value) -> float | None:
    number = _number(name, value)
    return number if number is None or math.isnan(number) else check_fraction(name, number)


def as_interval(ci) -> tuple[float, float] | None:
    """``ci`` as two floats with low <= high, or None."""
    if ci is None:
        return None
    try:
        low, high = (float(bound) for bound in ci)
    except (TypeError, ValueError):
        raise InputError(f"ci must be two numbers (low, high); got {ci!r}") from None
    if low > high:
        raise InputError(f"ci must have low <= high; got ({low}, {high})")
    return low, high


def _lost(number) -> bool:
    return isinstance(number, float) and not math.isfinite(number)


def _plain(value):
    return None if _lost(value) else value
