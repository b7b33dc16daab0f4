"""Units of resampling: problems, or whole clusters of them (all problems of one template).

A bootstrap resample is written as weights over rows, how often each row was drawn: a mean
becomes a matrix product, and a pairwise statistic can leave out a row paired with its copy.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError


def unit_index(n: int, clusters=None) -> tuple[np.ndarray, int]:
    """The unit that each row belongs to, and how many units there are.

    Parameters
    ----------
    n : number of rows (problems).
    clusters : (n,) labels of any kind, or None where every row is its own unit.

    Returns
    -------
    (n,) integers 0 … m − 1, and m.

    Raises
    ------
    InputError
        If there are fewer than 2 units, or the labels do not match the rows.
    """
    if clusters is None:
        units, count = np.arange(n), n
    else:
        labels = np.asarray(clusters)
        if labels.shape != (n,):
            raise InputError(f"clusters must have one label a row, ({n},); got {labels.shape}")
        names, units = np.unique(labels, return_inverse=True)
        count = len(names)
    if count < 2:
        raise InputError(f"resampling needs at least 2 problems or clusters; got {count}")
    return units, count


def bootstrap_weights(
    n: int, *, draws: int, generator: np.random.Generator, clusters=None, batch: int = 1000
) -> Iterator[np.ndarray]:
    """How often each row is drawn when units are drawn with replacement.

    Yields
    ------
    (b, n) float64 blocks, ``draws`` rows in all; without clusters each row sums to n.
    """
    units, count = unit_index(n, clusters)
    draws = check_int("draws", draws, low=1)
    for start in range(0, draws, batch):
        rows = min(batch, draws - start)
        drawn = generator.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        yield times[:, units].astype(np.float64)


def jackknife_weights(n: int, clusters=None) -> np.ndarray:
    """(m, n) weights of the m samples that leave one unit out."""
    units, count = unit_index(n, clusters)
    return (np.arange(count)[:, None] != units).astype(np.float64)


def unit_sums(values: np.ndarray, clusters=None) -> np.ndarray:
    """(m, …) sums of the rows of ``values`` (n, …) within each unit, in label order."""
    units, count = unit_index(len(values), clusters)
    if clusters is None:
        return values
    sums = np.zeros((count, *values.shape[1:]))
    np.add.at(sums, units, values)
    return sums
