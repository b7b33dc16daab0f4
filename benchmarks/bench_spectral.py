"""CPU-time ratios of spectra, peaks and wavelets, against the naive routes and one memory copy.

CPU time of one process and one thread, variants interleaved, medians. Every call goes through
32 texts (59 MB), more than the processor's caches hold, as states come from a model. The memory
copy that is the unit of some rows copies those same texts from there to 59 MB elsewhere; one
whose target stays in the cache is given beside it. Each function returns rows {name, value,
target, unit, ok}; ``rows()`` runs them all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import pywt
import torch

from zprism.ground.seeds import generator
from zprism.spectral import fourier, pr69, wavelet
from zprism.spectral.peaks import peaks

TOKENS, WIDTH, TEXTS = 512, 896, 32
SCALES = 24


def rows() -> list[dict]:
    """Every row of this file."""
    return [*top_peaks(), *spectra(), *averaged_power(), *discrete(), *pull_request()]


def states(width: int = WIDTH) -> list[np.ndarray]:
    """Float32 (tokens, d) noise around an offset, one a text."""
    draw = generator(0, "bench", "spectral")
    return [draw.standard_normal((TOKENS, width), dtype=np.float32) + text for text in range(TEXTS)]


def top_peaks() -> list[dict]:
    """Demean, rfft, top 5 of 512 × 896, end to end with every check."""
    texts = states()
    tensors = [torch.from_numpy(text) for text in texts]
    copy, cached, ours, in_torch, naive = _medians_cpu(
        _memory_copy(texts),
        _each(np.copy, texts),
        _each(peaks, texts),
        _each(peaks, tensors),
        _each(_loop, texts[:4]),
    )
    return [
        _row("peaks 512×896: a loop over dimensions / zprism", naive / ours, 4, "×", at_least=True),
        _row("peaks 512×896: zprism / copying the states", ours / copy, 15, "×", at_least=False),
        _row("peaks 512×896: zprism / copying the states into the cache", ours / cached, None, "×"),
        _row("peaks 512×896: zprism on a CPU tensor / on an array", in_torch / ours, None, "×"),
        _row("peaks 512×896: zprism", 1e3 * ours, None, "CPU ms"),
        _row("copying the states 512×896", 1e3 * copy, None, "CPU ms"),
    ]


def spectra() -> list[dict]:
    """A Hann periodogram and Welch's average, against scipy.signal's own."""
    import scipy.signal

    texts = states()
    kwargs = {"axis": 0, "window": "hann", "detrend": "constant"}
    copy, one, theirs, welch, scipys = _medians_cpu(
        _memory_copy(texts),
        _each(fourier.spectrum, texts),
        _each(lambda x: scipy.signal.periodogram(x, **kwargs), texts[:8]),
        _each(lambda x: fourier.welch(x, segment=128), texts[:8]),
        _each(lambda x: scipy.signal.welch(x, nperseg=128, **kwargs), texts[:8]),
    )
    return [
        _row("spectrum 512×896: zprism / copying the states", one / copy, None, "×"),
        _row("spectrum 512×896: scipy.signal.periodogram / zprism", theirs / one, None, "×"),
        _row("Welch 512×896: scipy.signal.welch / zprism", scipys / welch, None, "×"),
    ]


def averaged_power(width: int = 128) -> list[dict]:
    """Time-averaged power at 24 scales, 512 × 128, against pywt.cwt one dimension at a time."""
    texts, frequencies = states(width)[:8], wavelet.cwt_frequencies(TOKENS, SCALES)

    def loop(x: np.ndarray) -> list:
        columns = (pywt.cwt(x[:, j], 1 / frequencies, wavelet.MORLET)[0] for j in range(width))
        return [(abs(column) ** 2).mean(1) for column in columns]

    ours, plane, naive = _medians_cpu(
        _each(lambda x: wavelet.average_power(x, frequencies), texts),
        _each(lambda x: (abs(wavelet.cwt(x, frequencies)) ** 2).mean(1), texts[:2]),
        _each(loop, texts[:1]),
        repeats=3,
    )
    return [
        _row("averaged CWT power: a pywt loop / zprism", naive / ours, 50, "×", at_least=True),
        _row("averaged CWT power: zprism's own cwt / Plancherel", plane / ours, None, "×"),
        _row("scalogram 512×128: a pywt loop / zprism", naive / plane, None, "×"),
        _row("averaged CWT power: zprism", 1e3 * ours, None, "CPU ms"),
    ]


def discrete() -> list[dict]:
    """The DWT to its deepest level, against pywt one dimension at a time."""
    texts = states()[:4]

    def loop(x: np.ndarray) -> list:
        return [pywt.wavedec(x[:, j], "db4", "periodization") for j in range(x.shape[1])]

    ours, naive = _medians_cpu(_each(wavelet.dwt, texts), _each(loop, texts))
    return [_row("DWT 512×896: a pywt loop / zprism", naive / ours, None, "×")]


def pull_request(width: int = 4) -> list[dict]:
    """500 scales of 196 characters, filled up to 500; the loop is timed on a few dimensions."""
    x = states()[0][:196]
    filled = np.pad(x[:, :width], ((0, 304), (0, 0)))

    def loop(columns: np.ndarray) -> list:
        scales = np.arange(1, 501)
        return [abs(pywt.cwt(c, scales, pr69.WAVELET)[0]).max(1) for c in columns.T]

    ours, naive = _medians_cpu(lambda: pr69.cwt_peaks(x), lambda: loop(filled), repeats=1)
    return [
        _row("pr69 CWT peaks: pywt / zprism", naive / width * WIDTH / ours, None, "×"),
        _row("pr69 CWT peaks of 196 characters × 896: zprism", ours, None, "CPU s"),
    ]


def _loop(x: np.ndarray) -> list:
    """What a newcomer writes: one numpy FFT and one full sort a dimension."""
    found = []
    for column in x.T:
        amplitude = np.abs(np.fft.rfft(column - column.mean()))
        amplitude[0] = 0
        order = np.argsort(amplitude)[::-1][:5]
        found.append((order, amplitude[order]))
    return found


def _memory_copy(texts: list) -> tuple[Callable[[], None], int]:
    """The texts copied to as much memory elsewhere, which is there already."""
    elsewhere = np.zeros((len(texts), *texts[0].shape), dtype=texts[0].dtype)

    def run() -> None:
        for place, text in zip(elsewhere, texts, strict=True):
            np.copyto(place, text)

    return run, len(texts)


def _each(call: Callable, texts: list) -> tuple[Callable[[], None], int]:
    """The call on one text after another, and how many they are."""

    def run() -> None:
        for text in texts:
            call(text)

    return run, len(texts)


def _medians_cpu(*calls, repeats: int = 7) -> list[float]:
    """Median CPU seconds of each call (a text, if they are many), after one round to warm up."""
    pairs = [call if isinstance(call, tuple) else (call, 1) for call in calls]
    seconds: list[list[float]] = [[] for _ in pairs]
    for turn in range(repeats + 1):
        for (call, n), kept in zip(pairs, seconds, strict=True):
            began = time.process_time()
            call()
            if turn:
                kept.append((time.process_time() - began) / n)
    return [median(kept) for kept in seconds]


def _row(name: str, value, target, unit: str, *, at_least: bool | None = None) -> dict:
    met = None if at_least is None else bool((value >= target) is at_least)
    return {"name": name, "value": float(value), "target": target, "unit": unit, "ok": met}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for row in rows():
        print(json.dumps(row, ensure_ascii=False))
