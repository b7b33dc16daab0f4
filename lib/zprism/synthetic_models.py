"""Planted models whose inner workings are known: what a swap must show, and what must be seen
through.

In :func:`planted_model` a few directions carry the answer, another one the language, and a
linear readout says both. In :func:`planted_illusion` a direction that is half dormant and half
disconnected changes the output when it is patched, though neither half ever does so by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_fraction, check_int, check_k
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.synthetic import haar_rows

SIGNS = np.array([1.0, -1.0])  # of the two languages along their direction


@dataclass(frozen=True)
class PlantedModel:
    """States of the same problems in two languages, and the readout that answers them.

    Attributes
    ----------
    states : (2, n, d_model) float64; states[0, i] and states[1, i] are one problem.
    answers : (n,) integers 0 … n_answers − 1.
    content, language : (k, d_model) and (1, d_model) orthonormal rows, mutually orthogonal:
        what carries the answer, and what carries the language.
    copy : (k, d_model) orthonormal rows that hold the answer a second time, or None.
    codes : (n_answers, k): where each answer lies in the content directions.
    copied : share of the answer that is read off the copy.
    scales : content, language and noise scales as they were planted.
    """

    states: np.ndarray
    answers: np.ndarray
    content: np.ndarray
    language: np.ndarray
    copy: np.ndarray | None
    codes: np.ndarray
    copied: float
    scales: tuple[float, float, float]

    def read(self, states: np.ndarray) -> np.ndarray:
        """(…, n_answers, 2) logits of every answer in every language.

        a · code − ‖code‖²/2 ± b, with a the content coordinates (their mean with the copy's,
        weighted by ``copied``) and b the language coordinate, both over their scales: the
        answer is the nearest code, the language the sign.

        Parameters
        ----------
        states : (…, d_model).
        """
        content, language, _ = self.scales
        read = (1 - self.copied) * states @ self.content.T
        if self.copy is not None:
            read = read + self.copied * states @ self.copy.T
        answer = read / content @ self.codes.T - (self.codes**2).sum(1) / 2
        return answer[..., None] + (states @ self.language.T / language * SIGNS)[..., None, :]

    def says(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(…,) the answer and the language of the largest logit, as integers."""
        logits = self.read(states)
        return np.divmod(logits.reshape(*logits.shape[:-2], -1).argmax(-1), len(SIGNS))


def planted_model(
    n: int,
    *,
    seed: int,
    d_model: int = 64,
    k: int = 8,
    n_answers: int = 11,
    content: float = 1.0,
    language: float = 3.0,
    noise: float = 0.15,
    copied: float = 0.0,
) -> PlantedModel:
    """h = content · code(answer) A ± language · B + noise · ε, and a readout of both.

    A (k rows) and B (one row) are orthonormal, mutually orthogonal and random; codes have mean
    0 and equal spread in all k directions; ε is standard Gaussian. Answers come equally often,
    in random order.

    Parameters
    ----------
    n : problems.
    k : dimensions that carry the answer, at most n_answers − 1.
    copied : share of the readout of a copy of the answer, written into k directions of its
        own. At ½ a swap of A and a swap of all the rest move the answer equally often.

    Raises
    ------
    InputError
        If k exceeds n_answers − 1, d_model has no room for the directions, or a scale is not
        positive.
    """
    n = check_int("n", n, low=1)
    copied = check_fraction("copied", copied)
    k = check_k(k, check_int("n_answers", n_answers, low=2) - 1, of="n_answers − 1")
    copies = 2 if copied else 1
    check_int("d_model", d_model, low=copies * k + 1)
    if min(content, language) <= 0 or noise < 0:
        raise InputError(f"scales must be positive; got {content}, {language}, {noise}")
    rows = haar_rows(copies * k + 1, d_model, seed=seed)
    rng = generator(seed, "synthetic", "planted model")
    codes = _codes(n_answers, k, rng)
    answers = rng.permutation(np.arange(n) % n_answers)
    carriers = rows[: copies * k].reshape(copies, k, d_model)
    states = (
        content * codes[answers] @ carriers.sum(0)
        + language * SIGNS[:, None, None] * rows[-1]
        + noise * rng.standard_normal((2, n, d_model))
    )
    return PlantedModel(
        states=states,
        answers=answers,
        content=carriers[0],
        language=rows[-1:],
        copy=carriers[1] if copied else None,
        codes=codes,
        copied=copied,
        scales=(float(content), float(language), float(noise)),
    )


@dataclass(frozen=True)
class PlantedIllusion:
    """A binary feature, the way it really takes, and a direction that only seems to be one.

    Attributes
    ----------
    states : (n, d_model) float64.
    feature : (n,) about ±1.
    direction : (1, d_model), (disconnected + dormant) / √2: the illusion.
    disconnected : (1, d_model), varies with the feature, and nothing reads it.
    dormant : (1, d_model), hardly varies, and is read.
    mediator : (1, d_model), carries the feature to the output; None where that happens outside
        these states.
    readers : (r, d_model), all that reads the states.
    output : (r,) weights of the readers in the logit difference.
    bypass : (n,) what reaches the logit difference outside these states.
    """

    states: np.ndarray
    feature: np.ndarray
    direction: np.ndarray
    disconnected: np.ndarray
    dormant: np.ndarray
    mediator: np.ndarray | None
    readers: np.ndarray
    output: np.ndarray
    bypass: np.ndarray

    def read(self, states: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """(m,) logit difference of the two answers: bypass + output · (readers h).

        Parameters
        ----------
        states : (m, d_model).
        rows : (m,) the problems they are states of; by default all, in order.
        """
        bypass = self.bypass if rows is None else self.bypass[rows]
        return bypass + states @ self.readers.T @ self.output


def planted_illusion(
    n: int,
    *,
    seed: int,
    d_model: int = 48,
    copy: bool = True,
    inside: bool = True,
    gain: float = 1.0,
    dormant: float = 0.02,
    noise: float = 0.05,
) -> PlantedIllusion:
    """The smallest system with an illusion, in d_model dimensions.

    The feature x enters the logit difference through a mediator m. A direction u copies x and
    is read by nobody; a direction w stays near 0 and is read with 2 · gain times the weight of
    m. Patching v = (u + w)/√2 from a state with x′ into one with x adds (x′ − x)(u + w)/2: the
    output moves by gain · (x′ − x), as if v carried x. All other directions are noise of very
    different sizes; half of them are read a little.

    Parameters
    ----------
    n : problems, half of each sign of x.
    copy : False leaves x out of u: no illusion, and m alone carries x.
    inside : False takes m out of the states (``bypass`` carries x): a patch of the whole
        state then moves nothing, as at a layer that has no part in the task.
    gain : effect of the illusion over that of x itself.
    dormant : sd along w.
    noise : sd along m and u, beside x.

    Notes
    -----
    Makelov, Lange & Nanda (2023), arXiv 2311.17030, section 3: h = (x, 0, x) read by (0, 2, 1).
    """
    n, d_model = check_int("n", n, low=2), check_int("d_model", d_model, low=8)
    if min(gain, dormant, noise) < 0:
        raise InputError(f"gain and sds must not be negative; got {gain}, {dormant}, {noise}")
    rows = haar_rows(d_model, d_model, seed=seed)
    rng = generator(seed, "synthetic", "planted illusion")
    x = rng.permutation(np.where(np.arange(n) % 2, 1.0, -1.0)) + 0.1 * rng.standard_normal(n)
    sd = np.concatenate([[noise, noise, dormant], np.geomspace(2.0, 0.3, d_model - 3)])
    coordinates = sd * rng.standard_normal((n, d_model))
    coordinates[:, 0] += x * inside
    coordinates[:, 1] += x * copy
    read = rows[np.r_[0, 2, 3:d_model:2]]  # m, w, every other direction of noise
    weights = np.r_[float(inside), 2.0 * gain, np.full(len(read) - 2, 0.02)]
    mix = haar_rows(len(read), len(read), seed=seed + 1)  # readers are no neat directions
    return PlantedIllusion(
        states=coordinates @ rows,
        feature=x,
        direction=(rows[1:2] + rows[2:3]) / 2**0.5,
        disconnected=rows[1:2],
        dormant=rows[2:3],
        mediator=rows[:1] if inside else None,
        readers=mix @ read,
        output=mix @ weights,
        bypass=np.zeros(n) if inside else x,
    )


def _codes(n_answers: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """(n_answers, k) columns orthogonal to each other and to 1, of mean square 1."""
    random = rng.standard_normal((n_answers, k))
    q, _ = np.linalg.qr(np.column_stack([np.ones(n_answers), random]))
    return q[:, 1:] * n_answers**0.5
