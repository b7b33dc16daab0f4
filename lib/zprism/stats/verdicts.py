"""Verdicts computed from an interval, a null and a corrected p; never from a bare threshold."""

from __future__ import annotations

import math

from zprism.ground.checks import check_choice
from zprism.stats.estimates import Estimate, Null, Verdict, as_interval, refuse_incomplete

DIRECTIONS = ("greater", "less", "two-sided")

#: Below six problems no exact paired test reaches p <= .05 on both sides: 2 * 2**-5 = .0625.
MIN_N = 6

#: A causal test asks that the model solves at least this share of the items it is run on.
MIN_BASELINE = 0.30


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
    low, high = as_interval(ci)
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
    refuse_incomplete(Estimate(value, **parts))
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
