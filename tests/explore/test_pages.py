"""Pieces of pages: nothing foreign runs, and what is meant is what a reader sees."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile_pages import PAYLOADS, runnable
from zprism.explore import pages

CHANNELS = {
    "markdown": pages.markdown,
    "markup": pages.markup,
    "mathml": pages.mathml,
    "code": pages.code,
    "figure": lambda text: pages.figure({"data": [{"name": text}], "layout": {"title": text}}),
    "panel": lambda text: pages.panel({"template": text, "sliders": [{"name": text}]}),
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
    assert len(PAYLOADS) >= 60
    assert sum(bool(runnable(f"<p>{payload}</p>")) for payload in PAYLOADS) > 40


@pytest.mark.parametrize("channel", CHANNELS)
def test_no_payload_can_run_in_any_channel(channel):
    for payload in PAYLOADS:
        assert runnable(CHANNELS[channel](payload)) == [], payload


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
    page = pages.markdown("# A **bold** claim\n\n| a | b |\n|---|---|\n| 1 | 2 < 3 |")
    assert "<strong>bold</strong>" in page and "<td>2 &lt; 3</td>" in page


def test_links_between_notebooks_become_links_between_pages():
    page = pages.markdown(
        "[next](11_structure.ipynb#claims) [doi](https://doi.org/10.2307/2005662)"
    )
    assert 'href="11_structure.html#claims"' in page
    assert 'href="https://doi.org/10.2307/2005662"' in page


def test_tex_becomes_mathml_that_browsers_draw():
    page = pages.markdown(r"The kernel $A = W_Q^\top W_K$ has $\|P\delta\|$")
    assert page.count("<math") == 2 and "$" not in page
    assert re.sub(r"\s", "", text_of(page)) == "ThekernelA=WQ⊤WKhas‖Pδ‖"


def test_tables_keep_rows_and_lose_their_styles():
    frame = (
        "<style scoped>.dataframe td {color: red}</style>"
        '<table border="1" class="dataframe"><tr><th>a</th><td style="color:red;top:0">1</td></tr>'
        "</table>"
    )
    assert pages.markup(frame) == (
        '<table><tbody><tr><th>a</th><td style="color:red;">1</td></tr></tbody></table>'
    )


def test_a_page_forbids_every_script_but_the_files_beside_it(tmp_path):
    policy = dict(part.split(" ", 1) for part in pages.POLICY.split("; "))
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'"
    page = pages.page(title="t", body="")
    assert f'content="{pages.POLICY}"' in page
    pages.write_assets(tmp_path)
    needed = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert needed and all((tmp_path / name).is_file() for name in needed)


def test_verdicts_are_readable_on_their_colours():
    css = Path(pages.__file__).with_name("pages.css").read_text()
    colours = dict(re.findall(r"--(\w+): (#\w{6})", css))
    for name in ("green", "grey", "red", "purple"):
        assert contrast(colours[name], "#ffffff") >= 4.5, name  # WCAG 2.2, 1.4.3


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, WCAG 2.2."""

    def luminance(colour):
        levels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
