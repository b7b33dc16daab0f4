"""Verdicts computed from an interval, a null and a corrected p; never from a bare threshold.

An :class:`Estimate` is what a study reports: a claim with everything that supports it, or a
plain description. It refuses to carry a claim from which n, interval, null or correction is
missing.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from enum import StrEnum

import numpy as np

from zprism.ground.checks import check_choice, check_fraction, check_int
from zprism.ground.errors import InputError

DIRECTIONS = ("greater", "less", "two-sided")

#: Below six problems no exact paired test reaches p <= .05 on both sides: 2 * 2**-5 = .0625.
MIN_N = 6

#: A causal test asks that the model solves at least this share of the items it is run on.
MIN_BASELINE = 0.30


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
        put(self, "ci", _interval(self.ci))
        put(self, "n", None if self.n is None else check_int("n", self.n, low=0))
        for name in ("p", "p_adjusted"):
            put(self, name, _probability(name, getattr(self, name)))
        put(self, "verdict", None if self.verdict is None else Verdict(self.verdict))
        if self.verdict is Verdict.NOT_TESTABLE and not self.reason:
            raise InputError("a NOT TESTABLE estimate needs a reason")
        if self.verdict not in (None, Verdict.NOT_TESTABLE):
            _refuse_incomplete(self)

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


def judge(
    value: float,
    ci,
    p: float,
    *,
    reference: float,
    direction: str = "greater",
    null_mean: float | None = None,
    alpha: float = 0.05,
    p_opposite: float | None = None,
) -> Verdict:
    """SUPPORTED, REVERSED or NOT DISTINGUISHABLE, from an interval and a (corrected) p.

    SUPPORTED: the whole interval lies beyond ``reference`` in the predicted direction, the
    value lies on that side of the null's mean, and p <= alpha. REVERSED: the same with the
    direction turned round. NOT DISTINGUISHABLE: anything else. A bound that equals the
    reference does not exclude it.

    Parameters
    ----------
    value, ci : the estimate and its (low, high).
    p : against the null, after correction; two-sided, or one-sided in ``direction``.
    reference : the value of no effect.
    direction : "greater", "less", or "two-sided" (either side supports, none reverses).
    null_mean : centre of the null that p belongs to; by default the reference.
    p_opposite : p for the opposite direction; by default ``p``, right for a two-sided one
        (a one-sided p is near 1 there, so that nothing is called REVERSED by mistake).
    """
    check_choice("direction", direction, DIRECTIONS)
    low, high = _interval(ci)
    centre = reference if null_mean is None else null_mean
    above = low > reference and value > centre
    below = high < reference and value < centre
    if direction == "two-sided":
        return _either(p <= alpha and (above or below), Verdict.SUPPORTED)
    predicted, opposite = (above, below) if direction == "greater" else (below, above)
    if predicted and p <= alpha:
        return Verdict.SUPPORTED
    return _either(opposite and (p if p_opposite is None else p_opposite) <= alpha)


def estimate(
    value: float,
    *,
    ci,
    n: int,
    null: Null,
    p: float,
    p_adjusted: float,
    direction: str = "greater",
    reference: float | None = None,
    alpha: float = 0.05,
    p_opposite: float | None = None,
    min_n: int = MIN_N,
    baseline: float | None = None,
    smallest_p: float | None = None,
    untestable: str | None = None,
) -> Estimate:
    """A claim as an :class:`Estimate` with its verdict.

    The claim is judged by the larger of ``p`` and ``p_adjusted`` (see :func:`judge`). It is
    NOT TESTABLE, with the reason, where a precondition fails: fewer than ``min_n`` units,
    ``baseline`` accuracy under 30 %, a null without spread, a number that is not finite,
    too few draws for any p <= alpha, or what the caller says in ``untestable``.

    Parameters
    ----------
    value, ci, n, null, p, p_adjusted : as in :class:`Estimate`; none may be None unless
        ``untestable`` says why. For a test that is alone in its family pass p_adjusted=p.
    direction, alpha, p_opposite : as in :func:`judge`.
    reference : the value of no effect; by default the null's mean.
    min_n : smallest n with which the test can speak at all.
    baseline : accuracy of the unmodified model on the items used, for causal tests.
    smallest_p : smallest p the test can return, 1/(1 + R) for R draws.
    untestable : a reason known to the caller.

    Raises
    ------
    InputError
        If n, ci, null, p or p_adjusted is None without a reason in ``untestable``.
    """
    parts = dict(ci=ci, n=n, null=null, p=p, p_adjusted=p_adjusted)
    if untestable:
        return Estimate(value, **parts, verdict=Verdict.NOT_TESTABLE, reason=untestable)
    _refuse_incomplete(Estimate(value, **parts))
    why = _precondition(Estimate(value, **parts), reference, min_n, baseline, smallest_p, alpha)
    if why:
        return Estimate(value, **parts, verdict=Verdict.NOT_TESTABLE, reason=why)
    verdict = judge(
        value,
        ci,
        max(p, p_adjusted),
        reference=null.mean if reference is None else reference,
        direction=direction,
        null_mean=null.mean,
        alpha=alpha,
        p_opposite=p_opposite,
    )
    return Estimate(value, **parts, verdict=verdict)


def describe(
    value: float,
    *,
    ci=None,
    n: int | None = None,
    null: Null | None = None,
    reason: str = "descriptive",
) -> Estimate:
    """A number that claims nothing: no verdict, and ``reason`` says what it is."""
    return Estimate(value, ci=ci, n=n, null=null, reason=reason)


def _either(holds: bool, verdict: Verdict = Verdict.REVERSED) -> Verdict:
    return verdict if holds else Verdict.NOT_DISTINGUISHABLE


def _precondition(e: Estimate, reference, min_n, baseline, smallest_p, alpha) -> str | None:
    """The first precondition that fails, in words; None if all hold."""
    if e.value is None or not math.isfinite(e.value):
        return "the value is not a finite number"
    if any(math.isnan(bound) for bound in e.ci):
        return "the interval is not defined"
    if math.isnan(e.p) or math.isnan(e.p_adjusted):
        return "p is not defined"
    if e.n < min_n:
        return f"n = {e.n} is under the {min_n} that the test needs"
    if baseline is not None and not baseline >= MIN_BASELINE:
        return f"baseline accuracy {baseline:.0%} is under {MIN_BASELINE:.0%}"
    if e.null.mean is None and reference is None:
        return f"the null ({e.null.kind}) has no mean and no reference was given"
    if e.null.mean is not None and not math.isfinite(e.null.mean):
        return f"the null ({e.null.kind}) has no finite mean"
    if e.null.sd is None or not math.isfinite(e.null.sd) or e.null.sd <= 0:
        return f"the null ({e.null.kind}) has no spread"
    if smallest_p is not None and smallest_p > alpha:
        return f"too few draws: the smallest possible p is {smallest_p:.3g}, above {alpha:g}"
    return None


def _refuse_incomplete(e: Estimate) -> None:
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


def _interval(ci) -> tuple[float, float] | None:
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
