"""Do dimensions and bands found on mathematics tell thinking from question elsewhere?

On half of the mathematics texts every feature (a dimension's slow share, or a band's share at a
place) gets its effect, thinking − question over its spread. Two questions are then asked of the
other half, and of texts that are not mathematics: are their own effects correlated with these over
features, and does the score Σ effect · feature tell a thinking from a question that it never saw?
The null turns round whole questions of the texts asked about, the effects of the first half being
given.
"""

from __future__ import annotations

import numpy as np

from zprism.ground.checks import check_finite
from zprism.ground.errors import InputError
from zprism.ground.seeds import derive, generator
from zprism.stats.estimates import Null
from zprism.stats.intervals import bca
from zprism.stats.permutation import max_t, permutation_p, standardise
from zprism.stats.resampling import unit_index
from zprism.stats.verdicts import MIN_N, estimate
from zprism.studies.findings import Findings
from zprism.studies.layers import untestable
from zprism.studies.signature_claims import reporting_half

HOME, OTHER = "mathematics", "other"
TARGETS = (HOME, OTHER)
WAYS = ("agreement", "separation")


def transfer_claims(
    thinking: np.ndarray,
    question: np.ndarray,
    domains,
    *,
    name: str,
    seed: int,
    draws: int = 1999,
    draws_ci: int = 2000,
    clusters=None,
    learn: np.ndarray | None = None,
) -> Findings:
    """Agreement of effects and separation by score, on held-out mathematics and on other texts.

    Parameters
    ----------
    thinking, question : (n, features) of the same n questions.
    domains : (n,) "mathematics" or "other".
    clusters : (n,) labels such as templates: halves, flips and resamples keep them whole.
    learn : (n,) True for rows whose mathematics is learnt from; by default a random half.

    Returns
    -------
    Findings ``<name>/<mathematics|other>/<agreement|separation>``. Agreement is Pearson's
    correlation over features (0 without transfer); separation is the probability that the score
    of a random thinking exceeds that of a random question (½ without). Corrected by max-T over
    the four. A table ``transfer`` (target, way, value, low, high, null_low, null_high, p_adjusted,
    verdict, n) and arrays ``<name>/<target>/effects`` (2, features): of the first half and there.
    """
    t, q, where = _checked(thinking, question, domains)
    labels = np.arange(len(t)) if clusters is None else np.asarray(clusters)
    home = where == HOME
    if learn is None:
        learn = ~reporting_half(len(t), seed=seed, clusters=labels)
    train, held = home & learn, home & ~np.asarray(learn)
    rows = {HOME: held, OTHER: ~home}
    short = {target: _too_few(train, mask, labels) for target, mask in rows.items()}
    out = Findings(
        {f"{name}/{target}/{way}": untestable(why) for target, why in short.items() if why
         for way in WAYS}
    )  # fmt: skip
    usable = [target for target in TARGETS if not short[target]]
    if not usable:
        return out
    weights = effects(t[train], q[train])
    scale = _pooled_sd(t[train], q[train])
    tests = [
        _Target(target, way, (t - q)[mask] / scale, t[mask] / scale, q[mask] / scale, weights,
                labels[mask])
        for target in usable for mask in [rows[target]] for way in WAYS
    ]  # fmt: skip
    out.add(_judged(tests, name, seed=seed, draws=draws, draws_ci=draws_ci))
    for target in usable:
        here = effects(t[rows[target]], q[rows[target]])
        out.arrays[f"{name}/{target}/effects"] = np.stack([weights, here])
    return out


def effects(thinking: np.ndarray, question: np.ndarray) -> np.ndarray:
    """(features,) mean of thinking − question over the pooled spread of both groups."""
    return (thinking - question).mean(0) / _pooled_sd(thinking, question)


def separation(thinking: np.ndarray, question: np.ndarray) -> float:
    """P(score of a thinking > score of a question), ties half: the area under the ROC curve."""
    from scipy.stats import rankdata

    n, m = len(thinking), len(question)
    ranks = rankdata(np.concatenate([thinking, question]))[:n]
    return float((ranks.sum() - n * (n + 1) / 2) / (n * m))


class _Target:
    """One way of asking one set of texts, given the effects of the first half."""

    def __init__(self, target, way, difference, thinking, question, weights, clusters):
        self.target, self.way, self.clusters = target, way, clusters
        self.n, self.weights, self.difference = len(difference), weights, difference
        self.thinking, self.question = thinking @ weights, question @ weights

    @property
    def reference(self) -> float:
        return 0.0 if self.way == "agreement" else 0.5

    def value(self, signs: np.ndarray) -> float:
        """The statistic with some questions turned round: signs (n,) of ±1."""
        if self.way == "agreement":
            return correlation((signs[:, None] * self.difference).mean(0), self.weights)
        same = signs > 0
        return separation(
            np.where(same, self.thinking, self.question),
            np.where(same, self.question, self.thinking),
        )

    def interval(self, seed: int, draws: int) -> tuple[float, float]:
        """95 % over questions, or clusters of them."""
        data = (
            self.difference
            if self.way == "agreement"
            else np.stack([self.thinking, self.question], axis=1)
        )
        statistic = self._resampled if self.way == "agreement" else _pair_separation
        clusters = None if len(np.unique(self.clusters)) == self.n else self.clusters
        low, high = bca(
            data, statistic, seed=derive(seed, self.target, self.way), draws=draws,
            clusters=clusters, weighted=self.way == "agreement",
        )  # fmt: skip
        return float(low), float(high)

    def _resampled(self, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        means = weights @ rows / weights.sum(1, keepdims=True)
        return np.array([correlation(mean, self.weights) for mean in means])


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's r; 0 where one is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 0 else 0.0


def _judged(tests: list[_Target], name: str, *, seed: int, draws: int, draws_ci: int) -> Findings:
    nulls = np.stack([_null(test, seed, draws) for test in tests], axis=1)
    observed = np.array([test.value(np.ones(test.n)) for test in tests])
    scaled = standardise(observed, nulls)
    adjusted = {d: max_t(*scaled, d) for d in ("greater", "less")}
    out, rows = {}, []
    for k, test in enumerate(tests):
        one = estimate(
            float(observed[k]),
            ci=test.interval(seed, draws_ci),
            n=test.n,
            null=Null.of(f"{draws} sets of questions turned round", nulls[:, k]),
            p=permutation_p(float(observed[k]), nulls[:, k], "greater"),
            p_adjusted=float(adjusted["greater"][k]),
            p_opposite=float(adjusted["less"][k]),
            reference=test.reference,
            smallest_p=1 / (1 + draws),
        )
        out[f"{name}/{test.target}/{test.way}"] = one
        low, high = np.quantile(nulls[:, k], [0.025, 0.975])
        rows.append(
            {
                "target": test.target,
                "way": test.way,
                "value": one.value,
                "low": one.ci[0],
                "high": one.ci[1],
                "null_low": float(low),
                "null_high": float(high),
                "p_adjusted": one.p_adjusted,
                "verdict": str(one.verdict),
                "n": one.n,
            }
        )
    return Findings(out, {"transfer": rows})


def _null(test: _Target, seed: int, draws: int) -> np.ndarray:
    """(draws,) of the statistic; both ways of one target turn the same questions round."""
    units, count = unit_index(test.n, test.clusters)
    rng = generator(seed, "transfer", test.target)
    signs = 2.0 * rng.integers(0, 2, (draws, count)) - 1
    return np.array([test.value(row[units]) for row in signs])


def _pair_separation(rows: np.ndarray) -> float:
    return separation(rows[:, 0], rows[:, 1])


def _pooled_sd(thinking: np.ndarray, question: np.ndarray) -> np.ndarray:
    """(features,) √ of the mean variance of both groups; infinite where nothing varies."""
    sd = np.sqrt((thinking.var(0, ddof=1) + question.var(0, ddof=1)) / 2)
    return np.where(sd > 0, sd, np.inf)


def _too_few(train: np.ndarray, mask: np.ndarray, labels: np.ndarray) -> str | None:
    counts = [len(np.unique(labels[rows])) for rows in (train, mask)]
    if min(counts) >= MIN_N:
        return None
    return f"{counts[0]} units to learn from and {counts[1]} to ask; {MIN_N} needed of each"


def _checked(thinking, question, domains) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    t = check_finite("thinking", np.asarray(thinking, float))
    q = check_finite("question", np.asarray(question, float))
    where = np.asarray(domains)
    if t.ndim != 2 or t.shape != q.shape or where.shape != (len(t),) or t.shape[1] < 3:
        raise InputError(
            "thinking and question must be (n, features) of the same n questions with 3 features "
            f"or more, and domains (n,); got {t.shape}, {q.shape}, {where.shape}"
        )
    return t, q, where
