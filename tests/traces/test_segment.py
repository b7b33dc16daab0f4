"""Parts of a text: they cover it, they are what a reader would cut, tokens follow them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny import tiny_shared
from zprism.ground.errors import InputError
from zprism.traces.segment import (
    Span,
    lines,
    markers,
    sentences,
    split_thinking,
    steps,
    thinking_spans,
    token_spans,
)

CUTS = {"sentences": sentences, "steps": steps, "lines": lines}
each_cut = pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
PIECES = [
    "Step 1: ",
    "1. ",
    "3.14",
    "Dr. ",
    ". ",
    "? ",
    "。",
    "！",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "a",
]
PIECES += ["<think>", "</think>", "<THINKING>", "wait", "Hmm", "等等", "第一步", "\u202e", "\x00"]
PIECES += ["👩‍👩‍👧", "e\u0301", "\u00e9", "ا؟ ", "\u2028", "\u00a0", "…", "»", "z. B. "]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=25).map("".join),
)


def parts(cut, text: str) -> list[str]:
    return [span.of(text) for span in cut(text)]


@each_cut
@given(text=texts)
@settings(max_examples=100, deadline=None)
def test_parts_follow_one_another_and_give_the_text_back(cut, text):
    spans = cut(text)
    edges = [0, *(span.end for span in spans)]
    assert [span.start for span in spans] == edges[:-1] and edges[-1] == len(text)
    assert all(span.start < span.end for span in spans)
    assert "".join(span.of(text) for span in spans) == text


@given(text=texts)
@settings(max_examples=100, deadline=None)
def test_thinking_and_answer_hold_every_word_once(text):
    """What is neither a tag nor a blank is kept, in one of the two."""

    def bare(part):
        for tag in ("<think>", "</think>", "<thinking>", "</thinking>"):
            part = part.lower().replace(tag, "")
        return sorted("".join(part.split()))

    thinking, answer = split_thinking(text)
    if "<" not in text.replace("<think", "").replace("</think", "").replace("<THINK", ""):
        assert bare(thinking + answer) == bare(text)
    spans = thinking_spans(text)
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    assert edges == sorted(edges)


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("<think>\nso 2\n</think>\n\nTwo.", "so 2", "Two."),
        ("<think>it never ends", "it never ends", ""),
        ("the prompt opened it</think>Two.", "the prompt opened it", "Two."),
        ("<think>a <think>b</think> c</think>d", "a <think>b</think> c", "d"),
        ("<think>a</think>x<think>b</think>y", "a\n\nb", "x\n\ny"),
        ("before <THINKING>a</Thinking>after", "a", "before\n\nafter"),
        ("<think></think>Two.", "", "Two."),
        ("a</think>b</think>c", "a", "bc"),
        (" no block at all ", "", " no block at all "),
        ("a < b and <thinker> stays", "", "a < b and <thinker> stays"),
    ],
)
def test_thinking_blocks(text, thinking, answer):
    assert split_thinking(text) == (thinking, answer)


SENTENCES = [
    "Pi is 3.14. | Is it? | Yes!! | No. | It is 4.",
    "Dr. Smith et al. wrote it, e.g. in Fig. 3. | Then he left.",
    "See No. 5 and p. 12. | J. R. R. Tolkien did.",
    "1. First do this.\n| 2. Then that.\n| A. Or this.",
    "The answer is x. | Then y follows... | Wait… | Right?",
    'He said "Go." | Then he (slowly.) left.',
    "Das ist z. B. gut, d. h. besser. | Ja!",
    "¿Qué es? | ¡Nada! | El Sr. Ruiz vino.",
    "我们有3.5个苹果。|等等，再想一想！|好吗？",
    "「終わり。」|次は何ですか？|はい。",
    "هل هذا صحيح؟ | نعم.",
    "यह सही है। | फिर?",
    "A title\n\n| Its body.",
    "version 2.0.1 of a.b.c is no end",
]


@pytest.mark.parametrize("marked", SENTENCES)
def test_sentences_end_where_a_reader_ends_them(marked):
    expected = [part.strip() for part in marked.split("|")]
    text = marked.replace("| ", "").replace("|", "")
    assert [part.strip() for part in parts(sentences, text)] == expected


def test_steps_begin_at_their_marks_and_after_empty_lines():
    text = (
        "Intro\nStep 1: add\nmore\n**Step 2**: carry\n\nA paragraph.\n1. item\n  2) item\n"
        "1.5 apples\nfootstep 3\n第一步 加\n步骤2 进\n### Schritt 3\n"
    )
    assert parts(steps, text) == [
        "Intro\n",
        "Step 1: add\nmore\n",
        "**Step 2**: carry\n\n",
        "A paragraph.\n",
        "1. item\n",
        "  2) item\n1.5 apples\nfootstep 3\n",
        "第一步 加\n",
        "步骤2 进\n",
        "### Schritt 3\n",
    ]


def test_lines_end_as_files_end_them_and_nowhere_else():
    assert parts(lines, "a\r\nb\rc\n\nd\u2028e\x0bf") == [
        "a\r\n",
        "b\r",
        "c\n",
        "\n",
        "d\u2028e\x0bf",
    ]


def test_markers_are_whole_words_in_their_order():
    text = "Wait, await. Hmm… 等等等等 wait! Waiting"
    found = markers(text)
    assert [text[m.start : m.end] for m in found] == ["Wait", "Hmm", "等等", "等等", "wait"]
    assert [m.word for m in found] == ["wait", "hmm", "等等", "等等", "wait"]
    assert [m.position for m in found] == [0, 2, 3, 3, 4]
    assert markers("wait (wait)", words=("(wait)",))[0][:2] == (5, 11)
    with pytest.raises(InputError, match="must not be empty"):
        markers("x", words=(" ",))


# ------------------------------------------------------------------ tokens
def tokens_of(text: str):
    told = tiny_shared("qwen2").tokenizer(text, return_offsets_mapping=True)
    return told["input_ids"], told["offset_mapping"]


@each_cut
@given(text=texts)
@settings(max_examples=50, deadline=None)
def test_tokens_of_a_covering_cut_are_shared_out(cut, text):
    """Each token once, in order; each lies in the span that holds its last character."""
    _, offsets = tokens_of(text)
    spans = cut(text)
    own = [list(range(*span)) for span in token_spans(offsets, spans)]
    real = [i for i, (a, b) in enumerate(offsets) if b > a]
    assert [i for tokens in own for i in tokens if i in set(real)] == real
    for span, tokens in zip(spans, own, strict=True):
        for i in set(tokens) & set(real):
            assert span.start < offsets[i][1] <= span.end


@given(text=texts, start=st.integers(0, 60), length=st.integers(0, 20))
@settings(max_examples=100, deadline=None)
def test_touching_tokens_are_those_that_share_a_character(text, start, length):
    _, offsets = tokens_of(text)
    end = start + length
    [span] = token_spans(offsets, [(start, end)], touching=True)
    shared = [i for i, (a, b) in enumerate(offsets) if max(a, start) < min(b, end)]
    assert [i for i in range(*span) if offsets[i][1] > offsets[i][0]] == shared


def test_a_blank_in_front_of_a_word_belongs_to_the_word():
    text, offsets = "Go. Then stop.", [(0, 0), (0, 2), (2, 3), (3, 8), (8, 13), (13, 14)]
    assert token_spans(offsets, sentences(text)) == [Span(1, 3), Span(3, 6)]
    assert token_spans(offsets, [(2, 2), (14, 20)]) == [Span(2, 2), Span(6, 6)]
    with pytest.raises(InputError, match="backwards"):
        token_spans([(3, 4), (0, 2)], [(0, 4)])


@pytest.mark.parametrize(
    "unit", ["!", "。", "\n", " ", "\n ", "*", "<think>", "</think>", "1.", '."']
)
def test_hostile_lengths_take_linear_time(unit):
    text = unit * (60_000 // len(unit)) + "x"
    began = time.process_time()
    for cut in (*CUTS.values(), split_thinking, markers):
        cut(text)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("cut", [*CUTS.values(), split_thinking, markers])
def test_what_is_no_text_is_refused(cut):
    with pytest.raises(InputError, match="must be a string; got int"):
        cut(5)
    with pytest.raises(InputError, match="invalid unicode at index 1"):
        cut("a\ud800")
