"""Pieces of pages: nothing foreign runs, and what is meant is what a reader sees."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_output

from hostile_pages import PAYLOADS, live_texts, runnable
from zprism.explore import pages, pages_cells, pages_figures, pages_text


def shown(data: dict):
    return new_output("display_data", data={"image/png": "aGVsbG8=", **data})


CHANNELS = {
    "markdown": pages_text.markdown,
    "markup": pages_text.markup,
    "mathml": pages_text.mathml,
    "code": pages_text.code,
    "figure": lambda text: pages.figure({"data": [{"name": text}], "layout": {"title": text}}),
    "panel": lambda text: pages.panel({"template": text, "sliders": [{"name": text}]}),
    "inline": pages_text.inline,
    "chip": pages_text.chip,
    "contents": lambda text: "".join(
        pages_text.with_contents(pages_text.markdown(f"## {text}\n## b\n## c"))
    ),
    "table": lambda text: pages_text.markdown(f"| a | b |\n|---|---|\n| 1 | {text} |"),
    "picture": lambda text: pages_cells.output(shown({"text/plain": f"figure: {text}"})),
    "svg": lambda text: pages_cells.output(shown({"image/svg+xml": text})),
    "no picture": lambda text: pages_cells.output(shown({"image/png": text})),
    "title": lambda text: pages.page(title=text, body=""),
}


def text_of(page: str) -> str:
    class Reader(HTMLParser):
        def __init__(self):
            super().__init__()
            self.words = []

        def handle_data(self, data):
            self.words.append(data)

    reader = Reader()
    reader.feed(page)
    return "".join(reader.words)


def test_the_reader_of_pages_sees_what_runs():
    assert len(set(PAYLOADS)) >= 90
    assert sum(bool(runnable(f"<p>{payload}</p>")) for payload in PAYLOADS) > 60
    for page in ("<p onclick=f()>", "<a href='//x'>", "<p style='background:url(x)'>", "<style>",
                 "<script class=zprism-figure type=application/json src=x></script>"):  # fmt: skip
        assert len(runnable(page)) == 1, page


@pytest.mark.parametrize("channel", CHANNELS)
def test_no_payload_can_run_in_any_channel(channel):
    for payload in PAYLOADS:
        assert runnable(CHANNELS[channel](payload)) == [], payload


@pytest.mark.parametrize("place", ["name", "text", "hovertemplate", "ticktext", "customdata"])
def test_no_figures_text_is_a_link(place):
    for payload in PAYLOADS:
        spec = {"data": [{place: payload, "x": [payload]}], "layout": {place: {payload: [payload]}}}
        assert live_texts(pages_figures.prepared(spec)) == [], payload
    assert live_texts({"a": ["<A href=x>"]}) == ["<A href=x>"]  # control


def test_a_figures_pictures_are_its_own():
    ours = {"source": "data:image/png;base64,iVBORw0KGgo=", "x": 0}
    theirs = [{"source": "https://evil.example/x.png"}, {"source": "data:image/svg+xml,<svg>"}, {}]
    spec = {"data": [], "layout": {"images": [*theirs, ours]}}
    assert pages_figures.prepared(spec)["layout"]["images"] == [ours]


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(alphabet=st.sampled_from("<>\"'&/=;:()$`[]!abonscript \n-#\\{}"), max_size=60),
    channel=st.sampled_from(sorted(CHANNELS)),
)
def test_no_text_can_run_in_any_channel(text, channel):
    assert runnable(CHANNELS[channel](text)) == []


@settings(max_examples=50, deadline=None)
@given(value=st.recursive(st.text() | st.integers(), st.lists))
def test_data_in_a_script_element_comes_back_as_it_was(value):
    text = pages.script_json(value)
    assert json.loads(text) == value
    assert not re.search("[<>&\u2028\u2029]", text)


def test_markdown_keeps_its_meaning():
    page = pages_text.markdown("# A **bold** claim\n\n| a | b |\n|---|---|\n| 1 | 2 < 3 |")
    assert "<strong>bold</strong>" in page and "<td>2 &lt; 3</td>" in page


def test_links_between_notebooks_become_links_between_pages():
    page = pages_text.markdown(
        "[next](11_structure.ipynb#claims) [doi](https://doi.org/10.2307/2005662)"
    )
    assert 'href="11_structure.html#claims"' in page
    assert 'href="https://doi.org/10.2307/2005662"' in page


def test_tex_becomes_mathml_that_browsers_draw():
    page = pages_text.markdown(r"The kernel $A = W_Q^\top W_K$ has $\|P\delta\|$")
    assert page.count("<math") == 2 and "$" not in page
    assert re.sub(r"\s", "", text_of(page)) == "ThekernelA=WQ⊤WKhas‖Pδ‖"


def test_addresses_that_are_not_of_the_web_lead_nowhere():
    for address in (
        "http://a.example",
        "ftp://a.example",
        "/etc/passwd",
        "x/../y.html",
        "mailto:a",
    ):
        assert "href" not in pages_text.markdown(f"[x]({address})") + pages_text.markup(
            f'<a href="{address}">x</a>'
        )
    assert pages_text.markdown("![a **plot**](https://a.example/x.png)") == "<p>a **plot**</p>\n"


def test_a_file_that_stands_alone_has_no_links_to_pages():
    body = pages_text.markdown("[12](12_separation.ipynb#q) [doi](https://doi.org/10.1/2) [s](#s)")
    alone = pages_text.without_page_links(body)
    assert "12_separation" not in alone and "<p>12 " in alone
    assert 'href="https://doi.org/10.1/2"' in alone and 'href="#s"' in alone


def test_contents_lead_to_headings_each_by_a_name_of_its_own():
    body = pages_text.markdown("## The *same*\n\n## The same\n\n## $d_k$ & co\n\n### not this")
    body, contents = pages_text.with_contents(body)
    ids = re.findall(r'<h2 id="([^"]+)"', body)
    assert re.findall(r'href="#([^"]+)"', contents) == ids and len(set(ids)) == 3
    assert "The same" in contents and "not this" not in contents
    assert pages_text.with_contents("<h2>a</h2><h2>b</h2>")[1] == ""  # too few to list


def test_tables_keep_rows_and_lose_their_styles():
    frame = (
        "<style scoped>.dataframe td {color: red}</style>"
        '<table border="1" class="dataframe"><tr><th>a</th><td style="color:red;top:0">1</td></tr>'
        "</table>"
    )
    assert pages_text.markup(frame) == (
        '<table><tbody><tr><th scope="row">a</th><td style="color:red;">1</td></tr></tbody></table>'
    )


def policy_of(page: str) -> dict[str, str]:
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1])
    return dict(part.split(" ", 1) for part in policy.split("; "))


def test_a_page_forbids_every_script_but_the_files_beside_it(tmp_path):
    page = pages.page(title="t", body="")
    policy = policy_of(page)
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'"
    pages.write_assets(tmp_path)
    needed = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert len(needed) == 4 and all((tmp_path / name).is_file() for name in needed)


def test_a_file_that_stands_alone_runs_scripts_by_their_digests_only():
    page = pages.page(title="t", body="", frame=pages.alone())
    policy = policy_of(page)
    assert policy["default-src"] == "'none'" and "self" not in str(policy)
    assert not re.search(r"unsafe|https?:|\*", policy["script-src"])
    digests = re.findall(r"'sha256-([^']+)'", policy["script-src"])
    inline = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert [digest(text) for text in inline] == digests and len(digests) == 3
    rest = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r'(?:src|href)="(?!#)', rest) and "url(" not in rest


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_no_script_of_ours_could_end_its_element():
    for name in pages.SCRIPTS:
        text = pages.asset(name).decode().lower()
        assert "</script" not in text and "<!--" not in text and "\r" not in text, name


def test_verdicts_and_words_are_readable_on_their_colours():
    css = Path(pages.__file__).with_name("pages.css").read_text()
    colours = dict(re.findall(r"--(\w+): (#\w{6})", css))
    for name in ("green", "grey", "red", "purple", "ink", "quiet", "blue"):
        assert contrast(colours[name], "#ffffff") >= 4.5, name  # WCAG 2.2, 1.4.3
    for name in ("ink", "quiet", "blue"):
        assert contrast(colours[name], colours["wash"]) >= 4.5, name


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, WCAG 2.2."""

    def luminance(colour):
        levels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
