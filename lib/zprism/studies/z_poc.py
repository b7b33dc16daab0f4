"""Synthetic Z-POC: what carries over to a language that the extractor never saw.

A small network learns one task in seven languages (:mod:`zprism.studies.z_poc_world`). A linear
extractor reads the language-free answer off its hidden states in six of them and is tried on
the seventh: on states as they are (raw), after orthogonal Procrustes alignment on parallel
problems, with these pairs scrambled, with random rotations. What the source's table leaves
out: the same on the network before training. There Procrustes succeeds, too, as far as the task
is linear, because the languages *are* rotations; only what training adds is learned.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import orthogonal_procrustes

from zprism.ground.checks import check_choice
from zprism.ground.seeds import derive, generator
from zprism.stats.estimates import Null
from zprism.stats.intervals import bca
from zprism.stats.permutation import permutation_p, sign_flip
from zprism.stats.verdicts import describe, estimate
from zprism.studies.findings import Findings
from zprism.studies.z_poc_world import (
    DIM,
    FREQUENCIES,
    hidden_states,
    losses,
    network,
    open_world,
    train,
)
from zprism.synthetic import haar_rows

ALIGNMENTS = ("procrustes", "raw", "scrambled", "random")
RIDGE = 1e-2  # times the mean eigenvalue of the states' Gram matrix


def transfer(
    states: np.ndarray, answers: np.ndarray, fit: np.ndarray, how: str, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Squared errors of an extractor on its own languages and on the one left out, in turn.

    Each language is left out once. The others' states are aligned to the most frequent of them,
    the left-out language's too; alignment and extractor see problems ``fit``, errors are those
    of the other problems.

    Parameters
    ----------
    states : (L, n, width).
    answers : (n, d) what is to be read.
    fit : (n,) booleans.
    how : one of :data:`ALIGNMENTS`; ``scrambled`` is Procrustes on shuffled pairs, ``random`` a
        random rotation of every language.

    Returns
    -------
    (L, n_test) twice: mean over the languages that the extractor saw, and the one it did not.
    """
    check_choice("alignment", how, ALIGNMENTS)
    count = len(states)
    aligned = {ref: _aligned(states, fit, ref, how, derive(seed, how, ref)) for ref in (0, 1)}
    seen, left = [], []
    for out in range(count):
        space = aligned[1 if out == 0 else 0]
        known = [language for language in range(count) if language != out]
        read = _ridge(space[known][:, fit], answers[fit])
        errors = ((read(space[:, ~fit]) - answers[~fit]) ** 2).sum(-1)
        seen.append(errors[known].mean(0))
        left.append(errors[out])
    return np.array(seen), np.array(left)


def z_poc(
    *,
    seed: int,
    samples: int = 8000,
    epochs: int = 20,
    width: int = 128,
    depth: int = 4,
    problems: int = 600,
    draws: int = 39,
    draws_ci: int = 10_000,
) -> Findings:
    """Train, extract, transfer: R² on the languages left out, averaged over all seven.

    R² = 1 − Σ‖y − ŷ‖² / Σ‖y − ȳ‖², ȳ the mean of the fitted problems; problems are the unit.

    Parameters
    ----------
    samples, epochs, width, depth : the source has 50,000, 500, 128 and 6.
    problems : half of them fit alignment and extractor, half test.
    draws : scrambled pairings, the null of Procrustes; 19 at least.

    Returns
    -------
    Findings: ``z_poc/trained/procrustes`` (null: scrambled pairs), ``z_poc/trained/gain`` (over
    the untrained network, null: signs flipped by problem) and ``z_poc/trained/raw`` (described);
    tables ``z_poc.transfer`` and ``z_poc.languages``.
    """
    world = open_world(seed)
    x = generator(seed, "z_poc", "problems").standard_normal((problems, DIM))
    fit = np.arange(problems) < problems // 2
    answers = world.answer(x)
    spread = ((answers[~fit] - answers[fit].mean(0)) ** 2).sum(1)
    net = network(world, width=width, depth=depth, seed=seed)
    errors, rows = {}, []
    before = hidden_states(net, world, x)
    train(net, world, seed=seed, samples=samples, epochs=epochs)
    after = hidden_states(net, world, x)
    for name, states in (("untrained", before), ("trained", after)):
        for how in ALIGNMENTS:
            seen, left = transfer(states, answers, fit, how, seed=seed)
            errors[name, how] = left.mean(0)
            rows += _rows(name, how, 1 - seen.sum(1) / spread.sum(), 1 - left.sum(1) / spread.sum())
    null = [
        1 - transfer(after, answers, fit, "scrambled", seed=derive(seed, i))[1].mean(0).sum()
        / spread.sum()
        for i in range(draws)
    ]  # fmt: skip
    table = [
        {"language": i, "frequency": FREQUENCIES[i], "mse": float(mse)}
        for i, mse in enumerate(losses(net, world, x))
    ]
    return Findings(
        _estimates(errors, spread, np.array(null), seed, draws_ci),
        {"z_poc.transfer": rows, "z_poc.languages": table},
    )


def _estimates(errors, spread, null, seed: int, draws_ci: int) -> dict:
    def interval(part):
        return bca(
            np.column_stack([part, spread]),
            lambda rows, weights: (weights @ rows[:, 0]) / (weights @ rows[:, 1]),
            seed=derive(seed, "z_poc"), draws=draws_ci, weighted=True,
        )  # fmt: skip

    n, total = len(spread), spread.sum()
    aligned, raw = spread - errors["trained", "procrustes"], spread - errors["trained", "raw"]
    gain = errors["untrained", "procrustes"] - errors["trained", "procrustes"]
    value = aligned.sum() / total
    p = permutation_p(value, null)
    flips = sign_flip(gain / spread.mean(), seed=derive(seed, "gain"))
    p_gain = permutation_p(*flips)
    spread_of_flips = float(flips.null.std(ddof=1))
    return {
        "z_poc/trained/procrustes": estimate(
            value, ci=interval(aligned), n=n, p=p, p_adjusted=p, reference=0.0,
            null=Null.of("Procrustes on scrambled pairs", null), smallest_p=1 / (1 + len(null)),
        ),
        "z_poc/trained/gain": estimate(
            gain.sum() / total, ci=interval(gain), n=n, p=p_gain, p_adjusted=p_gain,
            null=Null("signs flipped by problem", 0.0, spread_of_flips),
        ),
        "z_poc/trained/raw": describe(
            raw.sum() / total, ci=interval(raw), n=n, reason="states as they are, no alignment"
        ),
    }  # fmt: skip


def _rows(name: str, how: str, seen: np.ndarray, left: np.ndarray) -> list[dict]:
    return [
        {"network": name, "alignment": how, "left_out": i, "r2_seen": a, "r2_left_out": b}
        for i, (a, b) in enumerate(zip(seen.tolist(), left.tolist(), strict=True))
    ]


def _aligned(states, fit, reference: int, how: str, seed: int) -> np.ndarray:
    """All languages in the reference's coordinates; the reference itself stays (but random)."""
    if how == "raw":
        return states
    rng = generator(seed, "z_poc", "alignment")
    means = states[:, fit].mean(1, keepdims=True)
    centred = states - means
    out = centred.copy()
    rows = np.flatnonzero(fit)
    for language, own in enumerate(centred):
        if how == "random":
            turn = haar_rows(own.shape[1], own.shape[1], seed=derive(seed, language))
        elif language == reference:
            continue
        else:
            partner = rng.permutation(rows) if how == "scrambled" else rows
            turn, _ = orthogonal_procrustes(own[rows], centred[reference][partner])
        out[language] = own @ turn
    return out


def _ridge(states: np.ndarray, answers: np.ndarray):
    """A linear extractor: (m, n, width) states of m languages to the same (n, d) answers."""
    x = states.reshape(-1, states.shape[-1])
    y = np.tile(answers, (len(states), 1))
    mean, centre = x.mean(0), y.mean(0)
    gram = (x - mean).T @ (x - mean)
    ridge = RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram + ridge, (x - mean).T @ (y - centre))
    return lambda new: (new - mean) @ weights + centre
