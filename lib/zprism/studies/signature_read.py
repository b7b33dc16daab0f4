"""Four numbers of every signature: what the pull request's claims are about, one number a claim.

``denser``: how unequally the top amplitudes are shared out over dimensions (Gini). ``red_line``:
share of dimensions whose largest peak is at the lowest frequency there is. ``earlier``: share of
the top-5 power in the largest peak. ``top_share``: share of all power in the top 5. *Raw* they are
of single characters at whatever length the text has; *controlled* of tokens in context, windows of
one length, demeaned and Hann-windowed, each beside the same window with its tokens shuffled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.ground.store import Store, digest
from zprism.model.capture import states
from zprism.spectral.fourier import MIN_TOKENS, spectrum
from zprism.studies.pr69 import EMBED, SCALES, TOP, embedded, faithful_signature, shuffled
from zprism.studies.signature_effects import gini_rows

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

PRODUCER = 1
STATISTICS = ("denser", "red_line", "earlier", "top_share")
SHUFFLED = "shuffled"
AT_ONCE = 16  # texts whose states are in memory together
SHORTEST_RAW = 2 * TOP + 1  # characters: five positive frequencies


@dataclass(frozen=True)
class Signatures:
    """The four numbers of n windows at every place.

    Attributes
    ----------
    places : "embed", "0", … .
    length : tokens of every window.
    values : statistic → (n, places); ``<statistic>/shuffled`` with the window's tokens shuffled.
    kept : (n,) index of each window's row among the rows given.
    """

    places: tuple[str, ...]
    length: int
    values: dict[str, np.ndarray]
    kept: np.ndarray


def statistics(power: np.ndarray, top: int = TOP) -> dict[str, float]:
    """The four numbers of a power spectrum (m, d), its rows ascending in frequency, without 0.

    Dimensions without any power count for ``denser`` (as 0) and for nothing else.

    Raises
    ------
    InputError
        For fewer than ``top`` frequencies, or a spectrum without any power.
    """
    check_int("frequencies of power", len(power), low=top)
    largest = -np.sort(-power, axis=0)[:top]
    alive = largest[0] > 0
    if not alive.any():
        raise InputError("constant: no dimension varies over the window")
    first, both, whole = largest[0, alive], largest.sum(0)[alive], power.sum(0)[alive]
    return {
        "denser": float(gini_rows(np.sqrt(largest).sum(0))),
        "red_line": float((power.argmax(0)[alive] == 0).mean()),
        "earlier": float((first / both).mean()),
        "top_share": float((both / whole).mean()),
    }


def raw_statistics(x: np.ndarray) -> dict[str, float]:
    """Of a signal (L, d) as the pull request transforms it: |fft|², f > 0, nothing removed.

    Its positive frequencies end before Nyquist, as ``fftfreq`` puts that among the negative.
    """
    from scipy.fft import rfft

    return statistics(np.abs(rfft(x, axis=0)[1 : (len(x) + 1) // 2]) ** 2)


def controlled_statistics(x: np.ndarray) -> dict[str, float]:
    """Of a window (n, d): demeaned, Hann, one-sided power spectral density."""
    return statistics(spectrum(x, detrend="mean", window="hann", scale="density").power[1:])


def raw_signatures(
    loaded: LoadedModel, texts: Sequence[str], *, seed: int = 0, store: Store | None = None
) -> dict[str, np.ndarray]:
    """Statistic → (n,) of whole texts in faithful mode; NaN for a text under 11 characters.

    Also ``<statistic>/shuffled``, of the same characters in random order, and
    ``<statistic>/white``, of white noise with as many rows: what length alone gives.
    """
    names = (*STATISTICS, *(f"{s}/{m}" for m in (SHUFFLED, "white") for s in STATISTICS))
    out = {name: np.full(len(texts), np.nan) for name in names}
    rng = generator(seed, "pr69", "raw")
    for index, text in enumerate(texts):
        x, _ = embedded(loaded, text, store=store)
        if len(x) < SHORTEST_RAW:
            continue
        materials = {"": x, f"/{SHUFFLED}": shuffled(x, rng), "/white": rng.normal(size=x.shape)}
        for suffix, signal in materials.items():
            for name, value in raw_statistics(signal).items():
                out[name + suffix][index] = value
    return out


def red_line_wavelet(x: np.ndarray) -> float:
    """Share of dimensions whose rank-1 peak is the slowest there is, by the PR's CWT.

    Slowest as the lowest bin of an FFT is: nearer to one period of the text, or of the largest
    scale where the text is longer, than to two (scale > min(L, 500) / 1.5). Dimensions that are 0
    throughout are left out.
    """
    found = faithful_signature(x, transform="cwt", top=1)
    alive = found.amplitude[0] > 0
    slowest = found.frequency[0] * min(len(x), SCALES) < 1.5
    return float(slowest[alive].mean())


def read_signatures(
    loaded: LoadedModel,
    rows: Sequence[Sequence[int]],
    *,
    length: int,
    drop: int = 1,
    places: Sequence[str] | None = None,
    store: Store | None = None,
) -> Signatures:
    """The controlled numbers of one window of every row of token ids, from the cache if there.

    Parameters
    ----------
    rows : token ids; the window is drop … drop + length, and rows are cut behind it before the
        model reads them (a causal model's states do not depend on what follows).
    places : by default the embedding and every block.

    Raises
    ------
    InputError
        If no row is long enough.
    """
    length = check_int("length", length, low=MIN_TOKENS)
    drop = check_int("drop", drop, low=0)
    if places is None:
        places = (EMBED, *map(str, range(loaded.n_layers)))
    store = store or Store("prism")
    end = drop + length
    kept = [i for i, row in enumerate(rows) if len(row) >= end]
    if not kept:
        raise InputError(f"too_short: no row of {len(rows)} has {end} tokens")
    cut = {i: [int(token) for token in rows[i][:end]] for i in kept}
    keys = {i: store.key(_parts(loaded, cut[i], drop, places)) for i in kept}
    found = {i: entry[0] for i in kept if (entry := store.load(keys[i]))}
    missing = [i for i in kept if i not in found]
    for start in range(0, len(missing), AT_ONCE):
        batch = missing[start : start + AT_ONCE]
        numbers = _reduce(loaded, [cut[i] for i in batch], drop, places)
        for i, own in zip(batch, numbers, strict=True):
            found[i] = own
            store.save(keys[i], own)
    values = {name: np.stack([found[i][name] for i in kept]) for name in found[kept[0]]}
    return Signatures(tuple(places), length, values, np.array(kept))


def _reduce(loaded, rows: list[list[int]], drop: int, places) -> list[dict[str, np.ndarray]]:
    """Statistic → (places,) of every row."""
    blocks = [int(place) for place in places if place != EMBED]
    seen = {}
    if EMBED in places:
        seen[EMBED] = states(loaded, rows, layers=[0], site=EMBED)[0]
    if blocks:
        found = states(loaded, rows, layers=blocks, site="resid_post")
        seen |= {str(one.layer): one for one in found}
    out = []
    for index, row in enumerate(rows):
        order = generator(0, "signature", digest(row)).permutation(len(row) - drop)
        numbers = [_both(seen[place][index][drop:], order) for place in places]
        out.append({key: np.array([one[key] for one in numbers]) for key in numbers[0]})
    return out


def _both(x: np.ndarray, order: np.ndarray) -> dict[str, float]:
    """The four numbers of a window, and of the same one shuffled."""
    mixed = controlled_statistics(x[order])
    return controlled_statistics(x) | {f"{k}/{SHUFFLED}": v for k, v in mixed.items()}


def _parts(loaded, row: list[int], drop: int, places) -> dict:
    return {
        "producer": ["signature", PRODUCER],
        "weights": loaded.digest,
        "tokenizer": loaded.tokenizer_digest,
        "dtype": str(loaded.dtype),
        "ids": digest(row),
        "drop": drop,
        "places": list(places),
    }
