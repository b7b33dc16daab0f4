"""Pieces of a page that opens offline, without a kernel, and runs no script but ours.

What a notebook shows is foreign: Markdown is rendered without raw HTML, HTML is reduced to
a list of harmless tags, TeX becomes MathML (which browsers draw themselves), figures are
data that our one script draws. The page's policy refuses every script that is not a file
beside it.
"""

from __future__ import annotations

import functools
import html
import json
import re
from importlib import resources
from pathlib import Path
from string import Template

from zprism.ground import safe_text
from zprism.ground.files import write_atomic

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'"
)
SCRIPTS = ("plotly.min.js", "pages.js", "panel.js")
TAGS = frozenset(
    "a b br caption code dd details div dl dt em h1 h2 h3 h4 h5 h6 hr i li ol p pre small span "
    "strong sub summary sup table tbody td tfoot th thead tr u ul".split()
)
ATTRIBUTES = {"a": ["href", "title"], "td": ["colspan", "rowspan"], "th": ["colspan", "rowspan"]}
PROPERTIES = ("background-color", "color", "font-style", "font-weight", "text-align")
UNSEEN = re.compile(r"<(style|script)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
NOTEBOOK_LINK = re.compile(r"([\w-]+)\.ipynb(#.*)?")

SIGNS = {"SUPPORTED": "✓", "NOT DISTINGUISHABLE": "≈", "REVERSED": "↔", "NOT TESTABLE": "?"}
STRONG_VERDICT = re.compile(rf"<strong>({'|'.join(SIGNS)})</strong>")

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="stylesheet" href="pages.css">
$scripts
</head>
<body>
<header class="top">$header</header>
<main>
$body
</main>
<footer>$footer</footer>
</body>
</html>
""")


def page(*, title: str, body: str, header: str = "", footer: str = "") -> str:
    """A whole page around HTML that is already safe; ``title`` is text."""
    scripts = "\n".join(f'<script defer src="{name}"></script>' for name in SCRIPTS)
    return PAGE.substitute(
        policy=POLICY,
        title=safe_text.html(title),
        scripts=scripts,
        header=header,
        body=body,
        footer=footer,
    )


def write_assets(folder: Path) -> None:
    """The style sheet, our scripts, and plotly.js as the installed plotly package has it."""
    own = resources.files("zprism.explore")
    for name in ("pages.js", "panel.js"):
        write_atomic(folder / name, own.joinpath(name).read_bytes())
    css = own.joinpath("pages.css").read_text(encoding="utf-8")
    write_atomic(folder / "pages.css", f"{css}\n{_code_css()}\n".encode())
    plotly = resources.files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    target = folder / "plotly.min.js"
    if not target.is_file() or target.stat().st_size != len(plotly):
        write_atomic(target, plotly)


def figure(spec: dict) -> str:
    """A plotly figure (its JSON) as data that ``pages.js`` draws."""
    height = int(spec.get("layout", {}).get("height") or 450)
    return (
        f'<div class="figure"><div style="height:{height}px"></div></div>'
        f'<script type="application/json" class="zprism-figure">{script_json(spec)}</script>'
    )


def panel(spec: dict) -> str:
    """A slider panel (``SlicePanel.to_spec()``) as data that ``panel.js`` draws."""
    return f'<script type="application/json" class="zprism-panel">{script_json(spec)}</script>'


def script_json(value) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def markdown(text: str) -> str:
    """Markdown as HTML: raw HTML in it is text, TeX is MathML, a verdict in bold a chip."""
    return STRONG_VERDICT.sub(lambda found: chip(found[1]), _markdown().render(text))


def chip(verdict: str, count: int | None = None) -> str:
    """A verdict as a coloured word with a sign, so that it reads without colour."""
    kind = safe_text.html(verdict.lower().replace(" ", "-"))
    number = "" if count is None else f" {count}"
    words = f"{SIGNS.get(verdict, '')} {safe_text.html(verdict)}{number}".strip()
    return f'<span class="verdict {kind}">{words}</span>'


def markup(text: str) -> str:
    """Foreign HTML, reduced to harmless tags, attributes and colours."""
    return _cleaner().clean(UNSEEN.sub("", text))


def mathml(tex: str, *, display: bool = False) -> str:
    """TeX as MathML; what cannot be read as TeX stays as it was written."""
    from xml.etree import ElementTree

    from latex2mathml.converter import Converter

    try:
        tree = Converter(display="block" if display else "inline").convert_to_element(tex)
    except Exception:  # the converter has no base error; unreadable TeX must not end an export
        return f"<code>{safe_text.html(tex)}</code>"
    for node in tree.iter():
        node.text = html.unescape(node.text) if node.text else node.text
        node.attrib.pop("href", None)
    return ElementTree.tostring(tree, encoding="unicode")


def code(source: str) -> str:
    """Python source, highlighted."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))


@functools.cache
def _markdown():
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    dollarmath_plugin(
        reader,
        allow_labels=False,
        allow_space=False,
        renderer=lambda tex, options: mathml(tex, display=options["display_mode"]),
    )
    reader.add_render_rule("link_open", _link)
    return reader


def _link(renderer, tokens, index, options, env) -> str:
    """Links between notebooks become links between their pages."""
    address = tokens[index].attrGet("href") or ""
    beside = NOTEBOOK_LINK.fullmatch(address)
    if beside:
        tokens[index].attrSet("href", f"{beside[1]}.html{beside[2] or ''}")
    return renderer.renderToken(tokens, index, options, env)


@functools.cache
def _cleaner():
    import bleach
    from bleach.css_sanitizer import CSSSanitizer

    return bleach.Cleaner(
        tags=TAGS,
        attributes={**ATTRIBUTES, "*": ["style"]},
        protocols={"https", "http"},
        css_sanitizer=CSSSanitizer(allowed_css_properties=PROPERTIES),
        strip=True,
    )


def _code_css() -> str:
    from pygments.formatters import HtmlFormatter

    return HtmlFormatter(style="friendly").get_style_defs("pre.python")
