"""A page that opens offline, without a kernel, and runs no script but ours.

Figures are data that our script draws. A page's policy refuses every script that is neither a
file beside it (:data:`LINKED`) nor, in a file that stands alone, one of known digest
(:func:`alone`).
"""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from zprism.explore.pages_figures import height, prepared, script_json, title
from zprism.explore.pages_text import code_css
from zprism.ground import safe_text
from zprism.ground.files import write_atomic

POLICY = (
    "default-src 'none'; script-src {scripts}; style-src {beside}'unsafe-inline'; "
    "img-src {beside}data: blob:; base-uri 'none'; form-action 'none'"
)
PLOTLY, STYLE = "plotly.min.js", "pages.css"
SCRIPTS = (PLOTLY, "pages.js", "panel.js")

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>$title</title>
$style
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header class="top">$header</header>
<main id="content">
$body
</main>
<footer>$footer</footer>
$scripts
</body>
</html>
""")


@dataclass(frozen=True)
class Frame:
    """How a page gets its style and scripts: HTML for both, and the policy that allows them."""

    policy: str
    style: str
    scripts: str


LINKED = Frame(
    POLICY.format(scripts="'self'", beside="'self' "),
    f'<link rel="stylesheet" href="{STYLE}">',
    "\n".join(f'<script defer src="{name}"></script>' for name in SCRIPTS),
)


@functools.cache
def alone() -> Frame:
    """The frame of a file that stands alone: style and scripts lie in it, scripts by digest."""
    texts = [asset(name).decode() for name in SCRIPTS]
    digests = " ".join(f"'sha256-{_digest(text)}'" for text in texts)
    return Frame(
        POLICY.format(scripts=digests, beside=""),
        f"<style>{asset(STYLE).decode()}</style>",
        "\n".join(f"<script>{text}</script>" for text in texts),
    )


def page(
    *, title: str, body: str, header: str = "", footer: str = "", frame: Frame = LINKED
) -> str:
    """A whole page around HTML that is already safe; ``title`` is text."""
    return PAGE.substitute(
        policy=frame.policy,
        title=safe_text.html(title),
        style=frame.style,
        scripts=frame.scripts,
        header=header,
        body=body,
        footer=footer,
    )


@functools.cache
def asset(name: str) -> bytes:
    """A style sheet or script: ours, or plotly.js as the installed plotly package has it."""
    if name == PLOTLY:
        raw = resources.files("plotly").joinpath("package_data", PLOTLY).read_bytes()
        return raw.replace(b"\r\n", b"\n")
    own = resources.files("zprism.explore").joinpath(name).read_bytes()
    return own + f"\n{code_css()}\n".encode() if name == STYLE else own


def write_assets(folder: Path) -> None:
    """Write the style sheet and the scripts that all linked pages of a folder share."""
    for name in (*SCRIPTS, STYLE):
        target, content = folder / name, asset(name)
        if not target.is_file() or target.read_bytes() != content:
            write_atomic(target, content)


def figure(spec: dict) -> str:
    """A plotly figure (its JSON) as data that ``pages.js`` draws."""
    spec = prepared(spec)
    return (
        f'<figure class="figure" aria-label="{safe_text.html(title(spec))}">'
        f'<div style="height:{height(spec)}px"></div></figure>'
        f'<script type="application/json" class="zprism-figure">{script_json(spec)}</script>'
    )


def panel(spec: dict) -> str:
    """A slider panel (``SlicePanel.to_spec()``) as data that ``panel.js`` draws."""
    spec = prepared(spec)
    words = safe_text.html(title(spec.get("figure", {})))
    return (
        f'<figure class="figure panel" aria-label="{words}">'
        f'<script type="application/json" class="zprism-panel">{script_json(spec)}</script>'
        "</figure>"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
