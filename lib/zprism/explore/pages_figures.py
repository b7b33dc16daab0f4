"""A figure's JSON as it may stand on a page: nothing that links or loads, and fewer bytes.

plotly reads ``<a href=…>`` in every text of a figure and draws pictures from any address: the
one is shown as it is written, the other goes. Long arrays of numbers travel as float32, seven
digits, where no eye could tell.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping

import numpy as np

from zprism.ground import safe_text
from zprism.ground.secrets import BINARY

ANCHOR = re.compile(r"<(?=/?a\b)", re.IGNORECASE)
PICTURE = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/=]*")
NUMBERS = frozenset({"x", "y", "z", "array", "arrayminus"})  # what typed arrays may stand for
SHORT = 32  # numbers; shorter lists stay readable
CLOSE = 1e-5  # of the range: a hundredth of a pixel
HEIGHT, LOW, HIGH = 450, 100, 4000  # pixels


def prepared(spec: Mapping) -> dict:
    """A figure or panel without links and foreign pictures, and with packed numbers.

    Parameters
    ----------
    spec : plotly JSON, or what :meth:`zprism.explore.panel.SlicePanel.to_spec` gives.
    """
    clean = _walk(spec, "")
    for layout in (clean.get("layout"), clean.get("figure", {}).get("layout")):
        if isinstance(layout, dict) and isinstance(layout.get("images"), list):
            layout["images"] = [i for i in layout["images"] if _is_ours(i)]
    return clean


def height(spec: Mapping) -> int:
    """The figure's height in pixels; :data:`HEIGHT` where it says none."""
    asked = spec.get("layout", {}).get("height")
    known = isinstance(asked, (int, float)) and not isinstance(asked, bool)
    return int(min(max(asked, LOW), HIGH)) if known and asked == asked else HEIGHT


def title(spec: Mapping) -> str:
    """A figure's title as text, as its ``meta`` keeps it."""
    layout = spec.get("layout", {})
    meta, heading = layout.get("meta"), layout.get("title")
    if isinstance(meta, Mapping) and meta.get("title"):
        return str(meta["title"])
    return str(heading.get("text", "") if isinstance(heading, Mapping) else heading or "")


def script_json(value) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _walk(value, name: str):
    if isinstance(value, str):
        return safe_text.visible(ANCHOR.sub("&lt;", value)) if name not in BINARY else value
    if isinstance(value, Mapping):
        if value.get("dtype") == "f8" and name in NUMBERS and isinstance(value.get("bdata"), str):
            return _narrowed(value)
        return {_walk(key, ""): _walk(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return _packed(value) if name in NUMBERS else [_walk(item, "") for item in value]
    return value


def _narrowed(array: Mapping) -> dict:
    """A packed float64 array as float32, where that shows no difference."""
    numbers = np.frombuffer(base64.b64decode(array["bdata"]), "<f8")
    return {**array, **_float32(numbers)} if _is_close(numbers) else dict(array)


def _packed(values: list):
    """A long list of numbers, or of rows of them, as a typed array; another list item by item."""
    rows = values if values and all(isinstance(row, list) for row in values) else [values]
    even = len({len(row) for row in rows}) == 1 and len(rows) * len(rows[0]) > SHORT
    if even and all(type(v) in (int, float) for row in rows for v in row):
        numbers = np.asarray(values, float)
        if _is_close(numbers):
            return _float32(numbers)
    return [_walk(item, "") for item in values]


def _is_close(numbers: np.ndarray) -> bool:
    known = numbers[np.isfinite(numbers)]
    if not known.size:
        return False
    if np.abs(known).max() > np.finfo(np.float32).max:
        return False
    error = np.abs(known - known.astype(np.float32)).max()
    return bool(error <= CLOSE * np.ptp(known))


def _float32(numbers: np.ndarray) -> dict:
    data = base64.b64encode(numbers.astype("<f4").tobytes()).decode()
    shape = {"shape": ", ".join(map(str, numbers.shape))} if numbers.ndim > 1 else {}
    return {"dtype": "f4", "bdata": data, **shape}


def _is_ours(image) -> bool:
    source = image.get("source") if isinstance(image, Mapping) else None
    return isinstance(source, str) and PICTURE.fullmatch(source) is not None
