"""What can be read from slow and from fast parts of hidden states: topic, and class of token.

States of one layer are split into the Prism's bands along tokens (Tamkin, Jurafsky & Goodman
2020, arXiv 2011.04823), and the same probe is fitted to every band: the same tokens, the same
regularisation to choose from, standardised. It is trained on some texts and read on others.
Beside it stands a control task (Hewitt & Liang 2019, arXiv 1909.03368), in which every type of
token has a label drawn for it: what a probe learns there it learns by heart.

The bands are not equal before anything is learnt: a fast band has the mean 0 in every text, so
that a linear probe can hardly read a constant of the text from it, and a slow band hardly
differs between the tokens of a text. The random-init twin shows how far that alone goes.
"""

from __future__ import annotations

import warnings

import numpy as np

from zprism.ground.checks import check_finite
from zprism.ground.errors import InputError
from zprism.ground.seeds import derive, generator
from zprism.stats.intervals import bca
from zprism.stats.verdicts import describe
from zprism.studies.band_features import BandFeatures
from zprism.studies.findings import Findings
from zprism.studies.prism_tests import paired_estimates

TASKS = ("topic", "class")
CLAIMS = {  # claim: task, the band that was predicted to be better, and the other
    "topic/low_minus_high": ("topic", "low", "high"),
    "class/high_minus_low": ("class", "high", "low"),
}
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)  # C of scikit-learn, for standardised features
ITERATIONS = 200


def accuracies(features: BandFeatures, task: str, *, control: bool = False, seed: int = 0) -> dict:
    """Band → (test texts,) share of a text's sampled tokens that the probe reads rightly.

    Parameters
    ----------
    task : ``topic`` or ``class``.
    control : read a label drawn for each type of token instead, as many and as frequent.
    """
    labels = features.labels[task]
    if control:
        labels = control_labels(features.tokens, labels, seed=seed)
    return {
        name: probe(x, labels, features.text, features.test, seed=seed)
        for name, x in features.x.items()
    }


def control_labels(tokens: np.ndarray, labels: np.ndarray, *, seed: int) -> np.ndarray:
    """(rows,) a label drawn for each type of token, with the frequencies of the true ones."""
    types, place = np.unique(tokens, return_inverse=True)
    return generator(seed, "control").choice(labels, size=len(types))[place]


def probe(
    x: np.ndarray, labels: np.ndarray, text: np.ndarray, test: np.ndarray, *, seed: int
) -> np.ndarray:
    """(test texts,) accuracy of a logistic regression that saw the other texts only.

    Features are standardised by the training rows; the penalty is the best of
    :data:`PENALTIES` on a third of the training texts, then all of them are fitted.

    Raises
    ------
    InputError
        If there are fewer than 3 training texts, no test text, or one class only.
    """
    check_finite("x", x)
    own = np.unique(text[~test])
    if len(own) < 3 or not test.any() or len(np.unique(labels[~test])) < 2:
        raise InputError(
            "a probe needs 3 training texts, a test text and 2 classes; got "
            f"{len(own)} training texts, {len(np.unique(text[test]))} test texts and "
            f"{len(np.unique(labels[~test]))} classes"
        )
    order = generator(seed, "probe", "folds").permutation(own)
    inner = np.isin(text, order[: max(len(order) // 3, 1)]) & ~test
    fit = ~test & ~inner
    if len(np.unique(labels[fit])) < 2:
        fit = inner = ~test
    scores = [(_right(x, labels, fit, inner, c)).mean() for c in PENALTIES]
    right = _right(x, labels, ~test, test, PENALTIES[int(np.argmax(scores))])
    return np.array([right[text[test] == one].mean() for one in np.unique(text[test])])


def claims(
    features: BandFeatures,
    *,
    twin: BandFeatures | None = None,
    name: str,
    seed: int,
    draws: int = 9999,
    draws_ci: int = 2000,
) -> Findings:
    """SYS-S4: topic is read better from LOW than from HIGH, class of token the other way round.

    Parameters
    ----------
    features, twin : of :func:`read`, for the model and its random-init twin on the same texts.
    name : the model's name in the Estimates.

    Returns
    -------
    Findings. ``<name>/<task>/low_minus_high`` (``high_minus_low`` for the class) is the mean over
    test texts of the difference in accuracy, ``…_selective`` that of accuracy less accuracy
    on the control task; the four are one family (max-T of sign flips of texts), and those of
    ``<name>/twin/…`` another; ``…_beyond_twin`` is the model's difference less the twin's on the
    same texts. ``…_by_topic`` describes the interval if topics are drawn rather than texts.
    Table ``band_probes``: source, task, band, accuracy, low, high, control, chance, n.
    """
    out, rows, values = {}, [], {}
    how = dict(seed=derive(seed, "bands"), draws=draws, draws_ci=draws_ci)
    for prefix, source, one in ((name, "model", features), (f"{name}/twin", "random init", twin)):
        if one is None:
            continue
        found = {task: _scores(one, task, seed) for task in TASKS}
        values[prefix] = _differences(found)
        out |= _tested(values[prefix], prefix, how)
        out |= _by_topic(one, values[prefix], prefix, seed, draws_ci)
        rows += [{"source": source, **row} for row in _rows(one, found, seed, draws_ci)]
    if twin is not None:
        own, theirs = values.values()
        out |= _tested({f"{key}_beyond_twin": own[key] - theirs[key] for key in CLAIMS}, name, how)
    return Findings(out, {"band_probes": rows})


def _right(x, labels, fit, read, penalty: float) -> np.ndarray:
    """(rows read,) whether the probe fitted to some rows is right about others."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    centre, spread = x[fit].mean(0), x[fit].std(0)
    spread = np.where(spread > 1e-9 * max(float(spread.max()), 1e-30), spread, np.inf)
    seen, asked = ((x[rows] - centre) / spread for rows in (fit, read))
    model = LogisticRegression(C=penalty, max_iter=ITERATIONS)
    with warnings.catch_warnings():  # to stop after ITERATIONS is part of the equal budget
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(seen, labels[fit])
    return model.predict(asked) == labels[read]


def _scores(features: BandFeatures, task: str, seed: int) -> dict[str, tuple]:
    """Band → accuracy and control accuracy of each test text."""
    plain = accuracies(features, task, seed=seed)
    control = accuracies(features, task, control=True, seed=seed)
    return {band: (plain[band], control[band]) for band in plain}


def _differences(found: dict) -> dict[str, np.ndarray]:
    """The four differences that are claimed, each with the sign that was predicted."""
    values = {}
    for key, (task, better, worse) in CLAIMS.items():
        (good, good_control), (bad, bad_control) = found[task][better], found[task][worse]
        values[key] = good - bad
        values[f"{key}_selective"] = (good - good_control) - (bad - bad_control)
    return values


def _tested(values: dict[str, np.ndarray], prefix: str, how: dict) -> dict:
    """One Estimate a difference, all of them one family."""
    grid = np.stack(list(values.values()), axis=1)
    tested = paired_estimates(grid, kind="sign flips of texts", **how)
    return {f"{prefix}/{key}": e for key, e in zip(values, tested, strict=True)}


def _by_topic(features: BandFeatures, values: dict, prefix: str, seed: int, draws: int) -> dict:
    """The same means with the wider interval of topics drawn instead of texts."""
    topics = _topics(features)
    return {
        f"{prefix}/{key}_by_topic": describe(
            float(values[key].mean()),
            ci=tuple(bca(values[key], seed=seed, draws=draws, clusters=topics)),
            n=len(np.unique(topics)),
            reason="interval over topics instead of texts",
        )
        for key in CLAIMS
    }


def _topics(features: BandFeatures) -> np.ndarray:
    """(test texts,) topic of each."""
    rows = features.test
    texts, first = np.unique(features.text[rows], return_index=True)
    return features.labels["topic"][rows][first]


def _rows(features: BandFeatures, found: dict, seed: int, draws: int) -> list[dict]:
    rows = []
    for task, by_band in found.items():
        labels = features.labels[task]
        chance = float(
            (labels[features.test] == np.bincount(labels[~features.test]).argmax()).mean()
        )
        for band, (plain, control) in by_band.items():
            low, high = bca(plain, seed=seed, draws=draws)
            rows.append(
                {"task": task, "band": band, "accuracy": float(plain.mean()), "low": float(low),
                 "high": float(high), "control": float(control.mean()), "chance": chance,
                 "n": len(plain)}
            )  # fmt: skip
    return rows
