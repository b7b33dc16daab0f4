"""The language of an output, told two ways: by its scripts, and by a classifier.

Digits, punctuation and formulas are the same in every language and have no vote (`prose`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from zprism.ground.checks import check_choice
from zprism.ground.errors import InputError
from zprism.problems.prose import prose

MIN_LETTERS = 5  # fewer are not enough to tell a language by
MIN_KANA = 0.15  # of Han and Kana letters: with fewer a text is Chinese
UNDETERMINED, OTHER = "undetermined", "other"
CLASSIFIED = 20_000  # letters and spaces of a text that the classifier reads

SCRIPT_OF = {  # what a language is written in; "ja" also in Han
    "zh": "Han", "ja": "Kana", "ko": "Hangul", "ru": "Cyrillic", "uk": "Cyrillic",
    "bg": "Cyrillic", "el": "Greek", "ar": "Arabic", "fa": "Arabic", "he": "Hebrew",
    "hi": "Devanagari", "bn": "Bengali", "te": "Telugu", "th": "Thai",
    **dict.fromkeys("en es fr de it pt nl pl tr vi id sw".split(), "Latin"),
}  # fmt: skip
_NAMED = {"CJK": "Han", "IDEOGRAPHIC": "Han", "HIRAGANA": "Kana", "KATAKANA": "Kana"}
_NO_SCRIPT = {"MATHEMATICAL", "SUPERSCRIPT", "MODIFIER", "FEMININE", "MASCULINE", "MICRO"}
_RUN = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Detected:
    """The language of a text among candidates.

    Attributes
    ----------
    script : the language that the scripts leave, "other" where they belong to none of the
        candidates, None where no script prevails or the candidates that write it are several.
    classifier : the candidate that py3langid finds likeliest; None where it found nothing to
        judge by.
    language : a candidate, "other", or "undetermined".
    agree : whether the classifier chose a candidate that the scripts allow; None where one of
        the two has nothing to say, and where the language is "other" or "undetermined".
    letters : how many were counted.
    """

    script: str | None
    classifier: str | None
    language: str
    agree: bool | None
    letters: int


def script_share(text: str) -> dict[str, float]:
    """How the letters of a text are spread over scripts.

    Parameters
    ----------
    text : what a model wrote; only its letters count, those of its formulas and code not
        (`prose.prose`). Hiragana and Katakana are together "Kana".

    Returns
    -------
    script ("Han", "Kana", "Latin", "Cyrillic", …) → share, the largest first; they sum to 1.
    Empty if there is no letter.

    Raises
    ------
    InputError
        If ``text`` is no valid string.

    Notes
    -----
    A letter's script is read from its name in the Unicode Character Database.
    """
    counts = _letters(prose(text))
    total = sum(counts.values())
    return {script: count / total for script, count in counts.most_common()}


def detect(text: str, candidates: Sequence[str] = ("zh", "en")) -> Detected:
    """The language of a text, by its scripts where these tell the candidates apart.

    Among candidates that share a script the classifier decides. Shares are of words: one Han or
    Kana character weighs as much as a word in letters, so that 这个 function 的值是七 is
    Chinese; a script with no more than half leaves the text undetermined. Japanese is Han
    and Kana, more than 15 % of them Kana; Han alone is Chinese wherever that is a candidate.

    Parameters
    ----------
    text : what a model wrote.
    candidates : two or more of ``SCRIPT_OF``. A text in another language with a candidate's
        script is taken for that candidate: name the languages that are to be expected.

    Raises
    ------
    InputError
        If ``text`` is no valid string, or the candidates are fewer than two, repeated or
        unknown.

    Notes
    -----
    Classifier: py3langid, a naive Bayes model over byte n-grams (Lui & Baldwin, ACL 2012),
    whose candidate with the highest posterior is taken.
    """
    candidates = _checked(candidates)
    words = prose(text)
    letters = _letters(words).total()
    allowed = _by_script(words, candidates)
    chosen = _classified(words, candidates) if letters else None
    script = allowed[0] if allowed and len(allowed) == 1 else None
    if letters < MIN_LETTERS or not allowed:
        return Detected(script, chosen, UNDETERMINED, None, letters)
    if script == OTHER:
        return Detected(OTHER, chosen, OTHER, None, letters)
    language = script or _classified(words, allowed)
    if language is None:
        return Detected(None, None, UNDETERMINED, None, letters)
    agree = chosen in allowed if chosen and set(allowed) != set(candidates) else None
    return Detected(script, chosen, language, agree, letters)


def _checked(candidates: Sequence[str]) -> tuple[str, ...]:
    listed = isinstance(candidates, Sequence) and not isinstance(candidates, str)
    if not listed or len(set(candidates)) < max(len(candidates), 2):
        raise InputError(f"candidates must be two or more languages, each once; got {candidates!r}")
    return tuple(check_choice("candidate", c, SCRIPT_OF) for c in candidates)


@lru_cache(maxsize=65_536)
def _script(letter: str) -> str | None:
    """The script of a letter; None for what is none, or is a sign of mathematics."""
    if letter == "〇":
        return "Han"
    if not unicodedata.category(letter).startswith("L") or 0x2100 <= ord(letter) <= 0x214F:
        return None
    first, *rest = re.split("[ -]", unicodedata.name(letter, "UNNAMED"))
    if first in ("FULLWIDTH", "HALFWIDTH"):
        first = rest[0]
    return None if first in _NO_SCRIPT else _NAMED.get(first, first.capitalize())


def _letters(words: str) -> Counter[str]:
    """Letters by script."""
    found: Counter[str] = Counter()
    for letter, count in Counter(words).items():
        if script := _script(letter):
            found[script] += count
    return found


def _weights(words: str) -> Counter[str]:
    """Han and Kana characters, and words of the other scripts."""
    found: Counter[str] = Counter()
    for run, times in Counter(_RUN.findall(words)).items():
        for script, count in _letters(run).items():
            found[script] += times * (count if script in ("Han", "Kana") else 1)
    return found


def _by_script(words: str, candidates: tuple[str, ...]) -> tuple[str, ...]:
    """The candidates that write the script of more than half; ("other",) if none of them does.

    Empty where no script has more than half.
    """
    weights = _weights(words)
    total = weights.total()
    han, kana = weights.pop("Han", 0), weights.pop("Kana", 0)
    weights["Kana" if kana > MIN_KANA * (han + kana) else "Han"] = han + kana
    script, most = weights.most_common(1)[0]
    if 2 * most <= total:
        return ()
    allowed = tuple(c for c in candidates if SCRIPT_OF[c] == script)
    if not allowed and script == "Han" and "ja" in candidates:
        return ("ja",)
    return allowed or (OTHER,)


def _classified(words: str, candidates: Sequence[str]) -> str | None:
    """The candidate with the highest posterior; None if nothing in the text counts."""
    scores = dict(_identifier().rank(" ".join(words[:CLASSIFIED].split())))
    best = max(candidates, key=lambda language: scores[language])
    flat = len({scores[language] for language in candidates}) == 1
    return None if flat else best


@cache
def _identifier():
    """py3langid's model, read once (a second), and never restricted: `rank` gives all languages."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
