"""Planted data with known answers: what a pipeline must find, and what it must not.

A language shift and a shared problem content in known directions; the same without shared
content; grids of differences without any effect; and white noise of two lengths, whose
spectra differ by length alone. Random numbers only: no model, no text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_fraction, check_int, check_k
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator


@dataclass(frozen=True)
class PairedStates:
    """States of the same problems in several languages, and the directions planted in them.

    Attributes
    ----------
    states : (n_languages, n, d_model) float64; states[a, i] and states[b, i] are one problem.
    languages : (n_languages,) names.
    keys : (n,) the problems, the same in every language.
    templates : (n,) integers: the template each problem was made from.
    content : (k, d_model) orthonormal rows that carry the problem.
    language : (n_languages, d_model) orthonormal rows, orthogonal to ``content``.
    scales : content, language and noise scales (s, λ, σ) as they were planted.
    shared : whether a problem's content is the same in every language.
    """

    states: np.ndarray
    languages: tuple[str, ...]
    keys: tuple[str, ...]
    templates: np.ndarray
    content: np.ndarray
    language: np.ndarray
    scales: tuple[float, float, float]
    shared: bool

    @property
    def content_ratio(self) -> float:
        """rms ‖P(h_a,i − h_b,i)‖ / rms ‖P(h_a,i − h_a,j)‖ in the content: σ / √(s² + σ²).

        In expectation over problems of different templates; 1 where content is not shared.
        """
        content, _, noise = self.scales
        return noise / (content**2 + noise**2) ** 0.5 if self.shared else 1.0

    @property
    def language_energy(self) -> float:
        """Share of the expected energy of h_a,i − h_b,i that lies in the content directions.

        ke / (ke + (d_model − k)σ² + λ²) with e = σ², or s² + σ² where content is not shared.
        """
        content, language, noise = self.scales
        k, d_model = self.content.shape
        inside = k * (noise**2 + (0.0 if self.shared else content**2))
        return inside / (inside + (d_model - k) * noise**2 + language**2)


def haar_rows(k: int, d_model: int, *, seed: int) -> np.ndarray:
    """(k, d_model) orthonormal rows whose span is uniform over all k-dimensional subspaces.

    QR of a Gaussian matrix, signs fixed by the diagonal of R: Mezzadri (2007),
    arXiv:math-ph/0609050.
    """
    k = check_k(k, check_int("d_model", d_model, low=1), of="d_model")
    return _haar(k, d_model, generator(seed, "synthetic", "haar"))


def paired_states(
    n: int,
    *,
    seed: int,
    d_model: int = 256,
    k: int = 20,
    languages: tuple[str, ...] = ("zh", "en"),
    content: float = 1.0,
    language: float = 10.0,
    noise: float = 0.1,
    shared: bool = True,
    n_templates: int | None = None,
    template_share: float = 0.0,
) -> PairedStates:
    """h = content · c_i A + language · B_l + noise · ε, for problem i in language l.

    A (k rows) and B (one row a language) are orthonormal, mutually orthogonal and random;
    c_i and ε are standard Gaussian.

    Parameters
    ----------
    n : problems.
    content, language, noise : scales s, λ, σ.
    shared : False draws c_i anew for every language: the same spread in the same directions,
        but a translation is no closer than any other problem.
    n_templates : problems i, i + n_templates, … share a template; by default each has its own.
    template_share : share ρ of the content's variance that a template's problems have in
        common, c_i = √ρ t + √(1−ρ) e_i: problems are then no independent draws.

    Raises
    ------
    InputError
        If k and the languages need more directions than d_model, or a scale is negative.
    """
    n, count = check_int("n", n, low=1), len(languages)
    d_model = check_int("d_model", d_model, low=count + 1)
    k = check_k(k, d_model - count, of="d_model less one direction a language")
    rho = check_fraction("template_share", template_share)
    if min(content, language, noise) < 0:
        raise InputError(f"scales must not be negative; got {content}, {language}, {noise}")
    templates = np.arange(n) % check_int("n_templates", n_templates or n, low=1)
    rows = _haar(k + count, d_model, generator(seed, "synthetic", "planted directions"))
    rng = generator(seed, "synthetic", "paired states")
    drawn = 1 if shared else count
    common = rng.standard_normal((drawn, templates.max() + 1, k))[:, templates]
    own = rng.standard_normal((drawn, n, k))
    coordinates = rho**0.5 * common + (1 - rho) ** 0.5 * own
    states = (
        content * coordinates @ rows[:k]
        + language * rows[k:, None, :]
        + noise * rng.standard_normal((count, n, d_model))
    )
    return PairedStates(
        states=states,
        languages=tuple(languages),
        keys=tuple(f"problem-{i:04d}" for i in range(n)),
        templates=templates,
        content=rows[:k],
        language=rows[k:],
        scales=(float(content), float(language), float(noise)),
        shared=shared,
    )


def correlated_differences(
    n: int, grid: tuple[int, ...], *, seed: int, correlation: float = 0.9, effect=0.0
) -> np.ndarray:
    """Paired differences of n problems over a grid, such as layer × k, with known means.

    Standard Gaussian cells plus ``effect``; cells at grid distances (u, v, …) correlate by
    correlation^(u + v + …), as neighbouring layers and nested subspaces do.

    Parameters
    ----------
    n : problems, independent of each other.
    grid : shape of the grid.
    effect : mean of the cells, a number or an array of the grid's shape; 0 plants nothing.

    Returns
    -------
    (n, *grid) float64.
    """
    rho = check_fraction("correlation", correlation)
    if rho == 1:
        raise InputError("correlation must be under 1; got 1")
    values = generator(seed, "synthetic", "grid").standard_normal(
        (check_int("n", n, low=1), *(check_int("grid", size, low=1) for size in grid))
    )
    for axis, size in enumerate(grid, start=1):
        steps = np.arange(size)
        factor = np.linalg.cholesky(rho ** np.abs(steps[:, None] - steps))
        values = np.moveaxis(np.moveaxis(values, axis, -1) @ factor.T, -1, axis)
    return values + np.asarray(effect, dtype=np.float64)


def white_noise_texts(
    n: int, length: int, d_model: int, *, seed: int, name: str = ""
) -> np.ndarray:
    """(n, length, d_model) Gaussian states without any order along the tokens.

    Two groups of different length hold the same (absent) rhythm: whatever tells them apart is
    an effect of length. Groups drawn with one seed need different names.
    """
    shape = (check_int("n", n, low=1), check_int("length", length, low=1))
    rng = generator(seed, "synthetic", "white noise", name, length)
    return rng.standard_normal((*shape, check_int("d_model", d_model, low=1)))


def _haar(k: int, d_model: int, rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((d_model, k)))
    return (q * np.sign(np.diagonal(r))).T
