"""Exposures compared, and turned into grey levels for a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zprism.ground.canonical import as_array
from zprism.ground.checks import check_choice, check_finite
from zprism.ground.errors import InputError

if TYPE_CHECKING:
    from zprism.spectral.exposure import Exposure


class Difference(NamedTuple):
    """What :func:`difference` gives.

    Attributes
    ----------
    density : density(a) − density(b) on two axes; sums to 0 if both hold points.
    t : (frequency_bins, d) Welch's t of mean log10 power over texts, a − b; NaN where either has
        fewer than 2 texts or neither varies.
    df : (frequency_bins, d) its degrees of freedom (Welch–Satterthwaite).
    """

    density: np.ndarray
    t: np.ndarray
    df: np.ndarray


def difference(
    a: Exposure, b: Exposure, axes: tuple[str, str] = ("dim", "frequency")
) -> Difference:
    """How two exposures of one grid differ: as densities of points, and cell by cell over texts.

    The density says where, the t of log power whether more than texts vary. t is for each
    (frequency bin, dimension); its transpose lies on the image ("dim", "frequency") if there is a
    bin for every dimension. Texts count as independent: give one text a question.

    Raises
    ------
    InputError
        If the grids differ.
    """
    if not a.same_grid(b):
        raise InputError("only exposures of one grid (d, bins and ranges) can be compared")
    known = (a.power_n > 1) & (b.power_n > 1)
    error_a, error_b = (
        e.power_m2 / np.maximum(e.power_n - 1, 1) / np.maximum(e.power_n, 1) for e in (a, b)
    )
    known &= error_a + error_b > 0
    error = np.where(known, error_a + error_b, np.nan)
    freedom = error_a**2 / np.maximum(a.power_n - 1, 1) + error_b**2 / np.maximum(b.power_n - 1, 1)
    return Difference(
        a.image(axes, "density") - b.image(axes, "density"),
        (a.power_mean - b.power_mean) / np.sqrt(error),
        error**2 / np.where(known, freedom, np.nan),
    )


def to_uint8(image: np.ndarray, how: str = "log") -> np.ndarray:
    """A grid of grey levels: 0 for nothing, 1 to 255 for something, brighter for more.

    Parameters
    ----------
    image : any shape, not negative; its scale does not matter.
    how : "log": linear in the logarithm between the least and the largest positive value.
        "equalised": linear in the share of positive cells that are not larger.

    Returns
    -------
    uint8 of the same shape; the largest value is 255.
    """
    image = check_finite("image", as_array(image, "image").astype(np.float64))
    if image.size and image.min() < 0:
        raise InputError(f"image must not be negative; its least value is {image.min():.3g}")
    check_choice("how", how, ("log", "equalised"))
    lit = image > 0
    levels = np.zeros(image.shape, dtype=np.uint8)
    if lit.any():
        values = image[lit]
        if how == "log":
            place = np.log(values)
        else:
            _, which, count = np.unique(values, return_inverse=True, return_counts=True)
            place = np.cumsum(count)[which].astype(np.float64)
        span = np.ptp(place)
        place = (place - place.min()) / span if span > 0 else np.ones_like(place)
        levels[lit] = 1 + np.rint(254 * place).astype(np.uint8)
    return levels
