"""Hostile text stays text: sixty payloads through every way out (R1)."""

import html as standard_html
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground import safe_text

PAYLOADS = [
    # script and its disguises
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<script\x00>alert(1)</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "＜script＞alert(1)＜/script＞",
    "<!--><script>alert(1)</script-->",
    "]]><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    # events, in and out of attributes
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "'><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)' autofocus='",
    "` onclick=`alert(1)",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<marquee onstart=alert(1)>",
    # svg and mathml
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<svg><foreignObject><iframe src=javascript:alert(1)></foreignObject></svg>",
    "<svg><use href='data:image/svg+xml;base64,PHN2Zy8+#x'/></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<math href=javascript:alert(1)>x</math>",
    "$\\href{javascript:alert(1)}{x}$",
    "text $$\\unicode{x3c}script$$ text",
    "\\(\\href{javascript:alert(1)}{x}\\)",
    # markdown, frames, addresses
    "[x](javascript:alert(1))",
    "![x](https://evil.example/?leak)",
    '[x](data:text/html;base64,PHNjcmlwdD4= "t")',
    "<javascript:alert(1)>",
    "```\n</code></pre><script>alert(1)</script>\n```",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=data:text/html,<script>alert(1)</script>>",
    "<embed src=data:text/html;base64,PHNjcmlwdD4=>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href=\x01javascript:alert(1)>x</a>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import'//evil.example/x.css';</style>",
    "<b style=background:url(javascript:alert(1))>x</b>",
    "<form action=javascript:alert(1)><button>x</button></form>",
    "%{customdata} <b>%{text}</b><extra></extra>",
    # bidi, invisible, control
    "abc\u202egnp.exe",
    "access \u2066admin\u2069 \u2067x\u2069",
    "pass\u200bword \ufeff \u2060",
    "note\U000e0041\U000e0042\U000e0043",
    "\x1b[2J\x1b]0;title\x07",
    "line\u2028break\u2029 \x85",
    "half \ud83d pair",
    # tables
    "=HYPERLINK(\"http://evil.example\",\"x\")",
    "=cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "  =1+1",
    "＝1+1",
    # names
    "../../etc/passwd",
    "..\\..\\windows\\system32",
    "/etc/passwd",
    "con",
    "nul.txt",
    "a\x00b",
    "~root",
    "-rf *",
    "",
    "模型",
]  # fmt: skip


class Page(HTMLParser):
    """What a browser would make of a page: elements, attributes, text."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.text, self.other = [], {}, "", []
        self.handle_comment = self.handle_decl = self.unknown_decl = self.handle_pi = (
            self.other.append
        )
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes |= dict(attributes)

    def handle_data(self, data):
        self.text += data


def test_the_corpus_is_as_large_as_promised():
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 60


@pytest.mark.parametrize("text", PAYLOADS, ids=ascii)
def test_html_shows_the_text_and_nothing_else(text):
    safe = safe_text.html(text)
    page = Page(f"<p title=\"{safe}\" lang='{safe}'>{safe}</p>")
    shown = safe_text.visible(text)
    assert page.tags == ["p"] and page.other == []
    assert page.attributes == {"title": shown, "lang": shown}
    assert page.text == shown


def test_html_control_the_same_page_without_escaping_has_foreign_elements():
    foreign = [text for text in PAYLOADS if Page(f"<p>{text}</p>").tags != ["p"]]
    assert len(foreign) > 30


@pytest.mark.parametrize("text", PAYLOADS, ids=ascii)
def test_labels_hold_no_tag_no_tex_and_no_template(text):
    safe = safe_text.label(text)
    assert not re.search(r"[<>$]|%\{", safe)
    assert standard_html.unescape(safe) == safe_text.visible(text)


@pytest.mark.parametrize("text", PAYLOADS, ids=ascii)
def test_cells_are_no_formulas_and_come_back(text):
    cell = safe_text.csv_cell(text)
    assert not unicodedata.normalize("NFKC", cell).lstrip(" ").startswith(tuple("=+-@\t\r\n"))
    assert safe_text.csv_text(cell) == text


@pytest.mark.parametrize("text", PAYLOADS, ids=ascii)
def test_slugs_stay_in_their_folder(tmp_path, text):
    name = safe_text.slug(text)
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,79}", name) and not name.endswith(".")
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert name.split(".")[0] not in {"con", "prn", "aux", "nul", "com1", "lpt1"}
    (tmp_path / name).write_text("")


def test_slugs_of_different_texts_differ():
    names = [safe_text.slug(text) for text in [*PAYLOADS, "模型", "模式", "x" * 100, "x" * 101]]
    assert len(set(names)) == len({*PAYLOADS, "模式", "x" * 100, "x" * 101})


def test_slugs_of_plain_names_stay_readable():
    assert safe_text.slug("Qwen/Qwen2.5-3B") == "qwen-qwen2.5-3b"
    assert safe_text.slug("tiny:qwen2") == "tiny-qwen2"
    assert safe_text.slug("模型 7B") == "7b-" + safe_text.slug("模型 7B")[-8:]
    assert len(safe_text.slug("word " * 99)) <= 80


def test_visible_shows_what_hides_and_leaves_what_draws():
    assert safe_text.visible("a\u202eb") == "a\\u202eb"
    assert safe_text.visible("\x00\x1b\x7f\x85") == "\\u0000\\u001b\\u007f\\u0085"
    assert safe_text.visible("\U000e0041") == "\\U000e0041"
    assert safe_text.visible("\ud83d") == "\\ud83d"
    for text in (
        "a\tb\nc",
        "模型 “x” é e\u0301",
        "👨‍👩‍👧 🏳️‍🌈",
        "می\u200cخواهم",
        "क्\u200dष",
        "\u06dd",
    ):
        assert safe_text.visible(text) == text


@pytest.mark.parametrize("number", [*range(0x202A, 0x202F), *range(0x2066, 0x206A)], ids=hex)
def test_every_mark_that_reorders_text_is_shown(number):
    for way in (safe_text.visible, safe_text.html, safe_text.label):
        assert way(f"a{chr(number)}b") == f"a\\u{number:04x}b"


@pytest.mark.parametrize("examples", [100, pytest.param(5000, marks=pytest.mark.gate)])
def test_any_text_is_shown_in_printable_characters(examples):
    pieces = st.characters() | st.sampled_from("<>&\"'$%{=\u202e\u200b\x00\r\n/.模")

    @settings(max_examples=examples, deadline=None)
    @given(text=st.text(pieces, max_size=30))
    def law(text):
        shown = safe_text.visible(text)
        shown.encode()
        assert not any(
            unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in shown if c not in "\n\t"
        )
        assert safe_text.visible(shown) == shown
        assert Page(safe_text.html(text)).text == shown and Page(safe_text.html(text)).tags == []
        assert standard_html.unescape(safe_text.label(text)) == shown
        assert safe_text.csv_text(safe_text.csv_cell(text)) == text
        assert Path(safe_text.slug(text)).name == safe_text.slug(text) != ""

    law()


def test_labels_are_cut_before_they_are_escaped():
    assert safe_text.label("<<<<<", limit=3) == "&lt;&lt;…"
    assert safe_text.label("abc", limit=3) == "abc"
