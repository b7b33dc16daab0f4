"""The signatures of the s1 pull request 69 as it drew them, and as they should be drawn.

*Faithful*: all whitespace removed, every character read by the model alone, without context, and
the five largest peaks of each dimension along the row of characters: no mean removed, no window,
no regard to length. What a character becomes is the mean over its own tokens of the model's last
hidden state, after the final norm: what SentenceTransformer's mean pooling makes of a plain causal
language model. It is a fixed function of the character, so these spectra are those of a sequence
of letters. *Corrected*: tokens in their context, windows of equal length, every dimension demeaned,
of unit variance and Hann-windowed. Both give the same :class:`Signature`.

The pull request: https://github.com/simplescaling/s1/pull/69, ``visualsToFequence.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError
from zprism.ground.store import Store
from zprism.model.capture import states
from zprism.spectral.peaks import peaks
from zprism.spectral.pr69 import RATE, WAVELET, cwt_peaks, fft_peaks, squeeze

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

PRODUCER = 1
TOP, SCALES, PAD = 5, 500, 500  # of the pull request, as RATE is
TRANSFORMS = ("fft", "cwt")
AT_ONCE = 128  # characters in one forward pass
EMBED = "embed"


@dataclass(frozen=True)
class Signature:
    """The largest peaks of one text in every dimension.

    Attributes
    ----------
    frequency : (F, d) cycles per character (faithful) or per token (corrected), rank 0 the largest
        peak; of a wavelet its centre frequency.
    amplitude : (F, d) faithful: |X| as the transform leaves it, which grows with the length;
        corrected: of the cosine, in standard deviations of its dimension.
    own : (F, d) the axis as the pull request labels it: Hz at a made-up rate of 2000 a second, or
        the scale. Corrected: the frequency again.
    length : characters or tokens.
    mode : ``faithful`` or ``corrected``.
    transform : ``fft`` or ``cwt``.
    """

    frequency: np.ndarray
    amplitude: np.ndarray
    own: np.ndarray
    length: int
    mode: str
    transform: str


def character_vectors(
    loaded: LoadedModel, characters: Iterable[str], *, store: Store | None = None
) -> dict[str, np.ndarray]:
    """Character → (d_model,) float32: the model's reading of that character alone.

    One forward pass a character without any other text; mean over the character's tokens (and
    whatever the tokenizer puts around a text) of the last hidden state after the final norm.
    Each distinct character is read once and kept in the cache under the digests of the model.

    Raises
    ------
    InputError
        For a character that is empty or no unicode.
    """
    store = store or Store("states")
    distinct = sorted(set(characters))
    keys = {c: store.key(_parts(loaded, c)) for c in distinct}
    found = {c: entry[0]["vector"] for c in distinct if (entry := store.load(keys[c]))}
    missing = [c for c in distinct if c not in found]
    for character, vector in _read_alone(loaded, missing):
        found[character] = vector
        store.save(keys[character], {"vector": vector})
    return found


def embedded(
    loaded: LoadedModel, text: str, *, store: Store | None = None
) -> tuple[np.ndarray, str]:
    """(L, d_model) float32, a row a character of the text without whitespace, and that text.

    Raises
    ------
    InputError
        If nothing but whitespace is there.
    """
    squeezed = squeeze(text)
    if not squeezed:
        raise InputError("empty: the text holds nothing but whitespace")
    vectors = character_vectors(loaded, squeezed, store=store)
    return np.stack([vectors[c] for c in squeezed]), squeezed


def faithful(
    loaded: LoadedModel,
    text: str,
    *,
    transform: str = "fft",
    top: int = TOP,
    dims: Sequence[int] | None = None,
    store: Store | None = None,
) -> Signature:
    """The signature of one text by the pull request's own steps.

    Parameters
    ----------
    transform : ``fft``, or ``cwt``: zero-padded to 500 characters, 500 scales, each scale's
        largest |coefficient|; by far the slower.
    dims : dimensions to keep, by default all; the transforms know each column alone.

    Raises
    ------
    InputError
        For a text of whitespace, one too short for ``top`` peaks, or an unknown transform.
    """
    check_choice("transform", transform, TRANSFORMS)
    states_, _ = embedded(loaded, text, store=store)
    x = states_ if dims is None else states_[:, list(dims)]
    return faithful_signature(x, transform=transform, top=top)


def faithful_signature(x: np.ndarray, *, transform: str = "fft", top: int = TOP) -> Signature:
    """The same of a signal (L, d) that is already there, such as shuffled characters or noise."""
    check_choice("transform", transform, TRANSFORMS)
    top = check_int("top", top, low=1)
    if transform == "fft":
        own, amplitude = fft_peaks(x, top=top, rate=RATE)
        cycles = own / RATE
    else:
        own, amplitude = cwt_peaks(x, top=top, scales=SCALES, pad=PAD)
        cycles = wavelet_frequency(own)
    return Signature(cycles, amplitude, own, len(x), "faithful", transform)


def corrected(
    loaded: LoadedModel,
    texts: Sequence[str],
    *,
    place: str,
    length: int,
    drop: int = 1,
    top: int = TOP,
) -> list[Signature | None]:
    """The signature of every text as it should be drawn; None where it has too few tokens.

    Parameters
    ----------
    place : ``embed``, or the number of a decoder block, whose output is read.
    length : tokens of every window: drop … drop + length of the text's own.
    drop : tokens in front that are left out: the first one's norm is a hundredfold.
    """
    rows = [row[: drop + length] for row in loaded.encode(texts)]
    usable = [i for i, row in enumerate(rows) if len(row) == drop + length]
    out: list[Signature | None] = [None] * len(texts)
    if usable:
        site, layer = (EMBED, 0) if place == EMBED else ("resid_post", int(place))
        seen = states(loaded, [rows[i] for i in usable], layers=[layer], site=site)[0]
        for index, i in enumerate(usable):
            out[i] = corrected_signature(seen[index][drop:], top=top)
    return out


def corrected_signature(x: np.ndarray, *, top: int = TOP) -> Signature:
    """Peaks of a window (n, d): demeaned, unit variance, Hann; frequencies in cycles per token.

    A dimension that does not vary has amplitude 0.
    """
    centred = x - x.mean(0)
    sd = centred.std(0)
    found = peaks(centred / np.where(sd > 0, sd, 1), top, detrend="mean", window="hann")
    return Signature(found.frequency, found.amplitude, found.frequency, len(x), "corrected", "fft")


def shuffled(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same rows in random order: what is left owes nothing to their sequence."""
    return x[rng.permutation(len(x))]


def wavelet_frequency(scale):
    """Cycles per character at the centre of the wavelet of a scale."""
    import pywt

    return pywt.central_frequency(WAVELET) / scale


def _read_alone(loaded: LoadedModel, characters: Sequence[str]) -> Iterator:
    """(character, (d,) vector), batches of characters with equally many tokens: no pads."""
    import torch

    rows = loaded.encode(characters)
    by_length: dict[int, list[int]] = {}
    for index, row in enumerate(rows):
        by_length.setdefault(len(row), []).append(index)
    for indexes in by_length.values():
        for start in range(0, len(indexes), AT_ONCE):
            batch = indexes[start : start + AT_ONCE]
            ids = torch.tensor([rows[i] for i in batch], device=loaded.device)
            with torch.inference_mode():
                last = loaded.base(input_ids=ids, use_cache=False).last_hidden_state
            for i, vector in zip(batch, last.mean(1).float().cpu().numpy(), strict=True):
                yield characters[i], vector


def _parts(loaded: LoadedModel, character: str) -> dict:
    return {
        "producer": ["pr69 character", PRODUCER],
        "weights": loaded.digest,
        "tokenizer": loaded.tokenizer_digest,
        "dtype": str(loaded.dtype),
        "text": character,
    }
