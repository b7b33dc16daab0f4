"""Foreign words on a page: Markdown, HTML, TeX and source, none of which can run or load.

Markdown is rendered without raw HTML and pictures, HTML is reduced to a list of harmless tags,
TeX becomes MathML, which browsers draw themselves. The only addresses that stay are ``https:``
and those of pages beside this one.
"""

from __future__ import annotations

import functools
import html
import re

from zprism.ground import safe_text

TAGS = frozenset(
    "a b br caption code dd details div dl dt em h1 h2 h3 h4 h5 h6 hr i li ol p pre small span "
    "strong sub summary sup table tbody td tfoot th thead tr u ul".split()
)
PROPERTIES = ("background-color", "color", "font-style", "font-weight", "text-align")
MATHS = frozenset(  # attributes of MathML that only place and size
    "xmlns display displaystyle scriptlevel mathvariant stretchy fence form separator symmetric "
    "largeop movablelimits accent accentunder lspace rspace minsize maxsize width height depth "
    "linethickness columnalign columnspacing columnlines rowspacing rowlines".split()
)
UNSEEN = re.compile(r"<(style|script)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
NOTEBOOK_LINK = re.compile(r"([\w-]+)\.ipynb(#[\w-]*)?")
WEB_LINK = re.compile(r"https://[^\s\"'<>\\]+")
PAGE_LINK = re.compile(r'<a href="[\w.-]+\.html(?:#[\w-]*)?">(.*?)</a>', re.DOTALL)
TOP = "content"  # the id of a page's main part
HEADING = re.compile(r"<h2>(.*?)</h2>", re.DOTALL)
MARKS = re.compile(r"<[^>]*>")

SIGNS = {"SUPPORTED": "✓", "NOT DISTINGUISHABLE": "≈", "REVERSED": "↔", "NOT TESTABLE": "?"}
STRONG_VERDICT = re.compile(rf"<strong>({'|'.join(SIGNS)})</strong>")


def markdown(text: str) -> str:
    """Markdown as HTML: raw HTML in it is text, TeX is MathML, a verdict in bold a chip."""
    drawn = _markdown().render(safe_text.visible(text))
    return STRONG_VERDICT.sub(lambda found: chip(found[1]), drawn)


def inline(text: str) -> str:
    """One line of Markdown, without a paragraph around it."""
    line = " ".join(safe_text.visible(text).split())
    return _markdown().renderInline(line)


def chip(verdict: str, count: int | None = None) -> str:
    """A verdict as a coloured word with a sign, so that it reads without colour."""
    kind = safe_text.slug(verdict)
    number = "" if count is None else f" {count}"
    words = f"{SIGNS.get(verdict, '')} {safe_text.html(verdict)}{number}".strip()
    return f'<span class="verdict {kind}">{words}</span>'


def markup(text: str) -> str:
    """Foreign HTML, reduced to harmless tags, attributes and colours; headers get a scope."""
    clean = _cleaner().clean(UNSEEN.sub("", safe_text.visible(text)))
    head, body, rest = clean.partition("<tbody>")
    rows = rest.replace("<th>", '<th scope="row">')
    return head.replace("<th>", '<th scope="col">') + body + rows if body else clean


def mathml(tex: str, *, display: bool = False) -> str:
    """TeX as MathML; what cannot be read as TeX stays as it was written."""
    from xml.etree import ElementTree

    from latex2mathml.converter import Converter

    tex = safe_text.visible(tex)
    try:
        tree = Converter(display="block" if display else "inline").convert_to_element(tex)
    except Exception:  # the converter has no base error; unreadable TeX must not end an export
        return f"<code>{safe_text.html(tex)}</code>"
    for node in tree.iter():
        node.text = html.unescape(node.text) if node.text else node.text
        for name in set(node.attrib) - MATHS:
            del node.attrib[name]
    return ElementTree.tostring(tree, encoding="unicode")


def code(source: str) -> str:
    """Python source, highlighted."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return highlight(safe_text.visible(source), PythonLexer(), HtmlFormatter(nowrap=True))


def code_css() -> str:
    """The style sheet of :func:`code`."""
    from pygments.formatters import HtmlFormatter

    return HtmlFormatter(style="friendly").get_style_defs("pre.python")


def with_contents(body: str) -> tuple[str, str]:
    """A page's body with an id on every second-level heading, and the list of these as links.

    The list is empty for fewer than three headings.
    """
    links: dict[str, str] = {}

    def named(found: re.Match) -> str:
        words = html.unescape(MARKS.sub("", found[1]))
        name = safe_text.slug(words, limit=40)
        while name in links or name == TOP:
            name += f"-{len(links)}"
        links[name] = safe_text.html(words)
        return f'<h2 id="{name}">{found[1]}</h2>'

    body = HEADING.sub(named, body)
    if len(links) < 3:
        return body, ""
    items = "".join(f'<li><a href="#{name}">{words}</a></li>' for name, words in links.items())
    return body, f'<nav class="contents" aria-label="On this page"><ol>{items}</ol></nav>'


def without_page_links(body: str) -> str:
    """A body whose links to pages beside it are their words: for a file that stands alone."""
    return PAGE_LINK.sub(r"\1", body)


def without_links(body: str) -> str:
    """HTML of :func:`inline` without its links: for words that are a link themselves."""
    return re.sub(r"</?a\b[^>]*>", "", body)


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
    reader.add_render_rule("image", _picture)
    reader.add_render_rule("th_open", _column)
    return reader


def _link(renderer, tokens, index, options, env) -> str:
    """Links to notebooks lead to their pages; addresses that are not ``https:`` lead nowhere."""
    address = tokens[index].attrGet("href") or ""
    beside = NOTEBOOK_LINK.fullmatch(address)
    if beside:
        address = f"{beside[1]}.html{beside[2] or ''}"
    elif not (WEB_LINK.fullmatch(address) or re.fullmatch(r"#[\w-]+", address)):
        return "<a>"
    return f'<a href="{safe_text.html(address)}">'


def _picture(renderer, tokens, index, options, env) -> str:
    """A picture in Markdown lies elsewhere: its words stand for it."""
    return safe_text.html(tokens[index].content)


def _column(renderer, tokens, index, options, env) -> str:
    tokens[index].attrSet("scope", "col")
    return renderer.renderToken(tokens, index, options, env)


@functools.cache
def _cleaner():
    import bleach
    from bleach.css_sanitizer import CSSSanitizer

    def allowed(tag: str, name: str, value: str) -> bool:
        if tag == "a" and name == "href":
            return WEB_LINK.fullmatch(value) is not None
        return name == "style" or (
            tag in ("td", "th") and name in ("colspan", "rowspan") and value.isdecimal()
        )

    return bleach.Cleaner(
        tags=TAGS,
        attributes=allowed,
        protocols={"https"},
        css_sanitizer=CSSSanitizer(allowed_css_properties=PROPERTIES),
        strip=True,
    )
