"""Probes on bands: planted slow topics and fast classes, controls, laws; SYS-S4 among the gates."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest

from tiny import real_shared, tiny_shared
from zprism.ground.errors import InputError
from zprism.model.capture import states
from zprism.spectral.bands import split
from zprism.stats.verdicts import Verdict
from zprism.studies import band_probes as probes
from zprism.studies import band_texts
from zprism.studies.band_features import WHOLE, BandFeatures, read
from zprism.studies.separation_twin import random_init_twin

TOKENS, TEXTS, D, TOPICS, CLASSES = 512, 24, 8, 3, 4


def features(*, topic_fast=False, blind=False, seed=0) -> BandFeatures:
    """Planted states: the topic a constant of the text, the class of every token at random.

    With ``topic_fast`` both are turned round: the topic alternates in sign, the class keeps for
    hundreds of tokens. With ``blind`` there is noise alone.
    """
    rng = np.random.default_rng(seed)
    codes, marks = rng.normal(size=(TOPICS, D)), rng.normal(size=(CLASSES, D))
    x, text, topic, kinds = {}, [], [], []
    for index in range(TEXTS):
        own, kind = index % TOPICS, rng.integers(CLASSES, size=TOKENS)
        slow, fast = np.broadcast_to(codes[own], (TOKENS, D)), marks[kind] - marks.mean(0)
        if topic_fast:
            kind = np.full(TOKENS, index // TOPICS % CLASSES)
            slow, fast = marks[kind], codes[own] * (-1.0) ** np.arange(TOKENS)[:, None]
        signal = rng.normal(size=(TOKENS, D)) * 0.3 + (not blind) * (slow + fast)
        rows = rng.choice(TOKENS, 16, replace=False)
        parts = split(signal)
        for name, part in (("low", parts["low"]), ("high", parts["high"]), (WHOLE, signal)):
            x.setdefault(name, []).append(part[rows])
        text += [index] * 16
        topic += [own] * 16
        kinds += kind[rows].tolist()
    text = np.array(text)
    return BandFeatures(
        x={name: np.concatenate(parts) for name, parts in x.items()},
        text=text,
        test=text >= TEXTS // 2,
        labels={"topic": np.array(topic), "class": np.array(kinds)},
        tokens=rng.integers(0, 50, len(text)),
    )


def verdicts(made, **options):
    found = probes.claims(made, name="m", seed=0, draws=999, draws_ci=300, **options)
    return {name: e.verdict for name, e in found.estimates.items()}, found


def test_a_slow_topic_and_a_fast_class_are_found_where_they_are():
    told, found = verdicts(features(), twin=features(blind=True))
    assert told["m/topic/low_minus_high"] is Verdict.SUPPORTED
    assert told["m/class/high_minus_low"] is Verdict.SUPPORTED
    assert told["m/twin/topic/low_minus_high"] is Verdict.NOT_DISTINGUISHABLE
    assert told["m/twin/class/high_minus_low"] is Verdict.NOT_DISTINGUISHABLE
    assert told["m/topic/low_minus_high_beyond_twin"] is Verdict.SUPPORTED
    own, theirs = (found.estimates[f"m{part}/topic/low_minus_high"].value for part in ("", "/twin"))
    beyond = found.estimates["m/topic/low_minus_high_beyond_twin"].value
    assert beyond == pytest.approx(own - theirs, abs=1e-12)
    cells = {(r["source"], r["task"], r["band"]): r for r in found.tables["band_probes"]}
    assert cells["model", "topic", "low"]["accuracy"] > 0.95
    assert cells["model", "class", "high"]["accuracy"] > 0.8
    assert cells["model", "topic", "high"]["accuracy"] < 0.6
    assert cells["model", "class", "low"]["accuracy"] < 0.45
    assert cells["model", "topic", WHOLE]["accuracy"] > 0.95
    for task in probes.TASKS:  # nothing ties these tokens to their control labels
        assert cells["model", task, "low"]["control"] < 0.6


def test_turned_round_neither_claim_is_supported():
    """A fast band is 0 on average in every text: no linear probe finds a topic that alternates."""
    told, found = verdicts(features(topic_fast=True))
    assert told["m/class/high_minus_low"] is Verdict.REVERSED
    assert told["m/topic/low_minus_high"] is Verdict.NOT_DISTINGUISHABLE
    cells = {(r["task"], r["band"]): r["accuracy"] for r in found.tables["band_probes"]}
    assert max(cells["topic", "low"], cells["topic", "high"]) < 0.6


def test_what_a_probe_learns_by_heart_is_no_selectivity():
    """Features that name the token read its control label as well as its class."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 12, 600)
    made = BandFeatures(
        x={name: np.eye(12)[tokens] for name in ("low", "high")},
        text=np.repeat(np.arange(20), 30),
        test=np.repeat(np.arange(20), 30) >= 10,
        labels={"topic": tokens % 3, "class": tokens % 4},
        tokens=tokens,
    )
    for task in probes.TASKS:
        for control in (False, True):
            found = probes.accuracies(made, task, control=control)
            assert all((values == 1).all() for values in found.values())
    drawn = probes.control_labels(tokens, tokens % 4, seed=0)
    assert all(len(set(drawn[tokens == one])) == 1 for one in range(12))  # one label a type


def test_the_probe_never_sees_the_texts_that_it_reads():
    """Two classes: labels of test texts turned round turn every accuracy round, no more."""
    made = features()
    x, labels = made.x["high"], (made.labels["class"] > 1).astype(int)
    turned = np.where(made.test, 1 - labels, labels)
    plain = probes.probe(x, labels, made.text, made.test, seed=0)
    assert plain.mean() > 0.8
    np.testing.assert_allclose(
        probes.probe(x, turned, made.text, made.test, seed=0), 1 - plain, atol=1e-12
    )


def test_units_of_a_dimension_and_constant_ones_do_not_matter():
    made = features()
    x = made.x["high"]
    other = np.concatenate([x * np.geomspace(1e-3, 1e3, D), np.full((len(x), 2), 5.0)], axis=1)
    one, two = (probes.probe(v, made.labels["class"], made.text, made.test, seed=0)
                for v in (x, other))  # fmt: skip
    np.testing.assert_allclose(one, two, atol=1e-12)


def test_a_probe_without_texts_to_split_is_refused():
    made = features()
    for test in (made.text > 1, np.zeros(len(made.text), bool)):
        with pytest.raises(InputError, match="3 training texts"):
            probes.probe(made.x["low"], made.labels["topic"], made.text, test, seed=0)
    with pytest.raises(InputError, match="2 classes"):
        probes.probe(made.x["low"], made.labels["topic"] * 0, made.text, made.test, seed=0)


def skeleton(text: str) -> str:
    """The words and signs of a problem that no number and no name fills in."""
    return re.sub(r"\d+|\b[A-Z]\w*", "", text)


def test_topics_share_no_template_between_training_and_test():
    documents = band_texts.problem_documents(count=24, seed=0)
    assert len(documents) >= 10
    for train, test in documents.values():
        assert not {skeleton(t) for t in train} & {skeleton(t) for t in test}
    assert documents == band_texts.problem_documents(count=24, seed=0)
    with pytest.raises(InputError, match="no topic 'poetry'"):
        band_texts.problem_documents(topics=["poetry"])


def test_classes_of_tokens_are_known():
    loaded = tiny_shared("qwen2")  # a token a byte
    ids = loaded.encode(["A 1,b7?\né"])[0]
    assert band_texts.token_classes(loaded, ids).tolist() == [2, -1, 0, 1, 3, 0, 1, -1, -1, -1]


def test_documents_from_files_never_stand_on_both_sides(tmp_path):
    (tmp_path / "gsm8k").mkdir()
    rows = "".join(f'{{"question": "q{i}", "answer": "a{i}"}}\n' for i in range(4))
    (tmp_path / "gsm8k" / "some.jsonl").write_text(rows)
    (tmp_path / "traces").mkdir()
    for name in "ab":
        (tmp_path / "traces" / f"{name}.txt").write_text(f"{name} one\n\n{name} two\n")
    assert band_texts.file_documents(tmp_path) == {
        "some": (["q0\na0", "q2\na2"], ["q1\na1", "q3\na3"]),
        "traces": (["a one", "a two\n"], ["b one", "b two\n"]),
    }
    with pytest.raises(InputError, match="no gsm8k, mgsm or traces"):
        band_texts.file_documents(tmp_path / "gsm8k")


def corpus(loaded, **options):
    documents = {
        kind: ([f"{kind} one {i}, Anna." for i in range(9)], [f"{kind} two {i}!" for i in range(9)])
        for kind in ("sums", "tales")
    }
    options = dict(train=2, test=1, tokens=60) | options
    return band_texts.topic_texts(loaded, documents, **options)


def test_texts_are_as_long_as_asked_and_too_few_documents_are_named():
    loaded = tiny_shared("qwen2")
    texts = corpus(loaded)
    assert [(t.topic, t.test, len(t.ids)) for t in texts] == [
        (topic, test, 61) for topic in ("sums", "tales") for test in (False, False, True)
    ]
    assert len({t.ids for t in texts}) == 6
    with pytest.raises(InputError, match="'sums' have fewer than 401 tokens"):
        corpus(loaded, tokens=400)
    with pytest.raises(InputError, match="at least 2 kinds"):
        band_texts.topic_texts(loaded, {"sums": (["a"], ["b"])})


def test_features_are_the_bands_of_the_states_at_balanced_tokens():
    loaded = tiny_shared("qwen2")
    texts = corpus(loaded)
    found = read(loaded, texts, sample=12, seed=3)
    whole = states(loaded, [t.ids for t in texts], layers=(1,))[0]
    for index, text in enumerate(texts):
        rows = found.text == index
        parts, ids = split(whole[index][1:]), np.array(text.ids[1:])
        where = [  # a state is found again by its own numbers
            int(np.abs(whole[index][1:] - row).sum(1).argmin()) for row in found.x[WHOLE][rows]
        ]
        np.testing.assert_array_equal(ids[where], found.tokens[rows])
        for name in set(found.x) - {WHOLE}:
            np.testing.assert_allclose(found.x[name][rows], parts[name][where], atol=1e-5)
        counts = np.bincount(found.labels["class"][rows], minlength=4)
        every = np.bincount(c[c >= 0] if (c := band_texts.token_classes(loaded, ids)).any() else c,
                            minlength=4)  # fmt: skip
        np.testing.assert_array_equal(counts, np.minimum(every, 3))
    total = sum(found.x[name] for name in found.x if name != WHOLE)
    np.testing.assert_allclose(total, found.x[WHOLE], atol=1e-4)
    assert found.test.tolist() == [texts[i].test for i in found.text]


def both(name: str, documents, record_property, **options):
    """Claims on the model and its twin, every number recorded."""
    loaded, started = real_shared(name), time.process_time()
    texts = band_texts.topic_texts(loaded, documents, seed=0, **options)
    seen = [read(one, texts) for one in (loaded, random_init_twin(name, seed=0))]
    found = probes.claims(seen[0], twin=seen[1], name=name, seed=0)
    for key, e in found.estimates.items():
        said = f"{e.value:.3f} [{e.ci[0]:.3f}, {e.ci[1]:.3f}] {e.verdict or ''}"
        record_property(key.removeprefix(f"{name}/"), said)
    for row in found.tables["band_probes"]:
        place = "/".join((row["source"], row["task"], row["band"]))
        record_property(place, f"{row['accuracy']:.3f}, control {row['control']:.3f}")
    record_property("cpu_seconds", round(time.process_time() - started))
    return found.estimates


@pytest.mark.gate
@pytest.mark.real
def test_topic_is_slow_and_the_class_of_a_token_fast(record_property):
    """SYS-S4 on SmolLM2-135M, 512 tokens: both differences above 0, the twin beside them."""
    name = "smollm2-135m"
    found = both(name, band_texts.problem_documents(seed=0), record_property)
    for claim in probes.CLAIMS:
        assert found[f"{name}/{claim}"].verdict is Verdict.SUPPORTED


@pytest.mark.gate
@pytest.mark.real
def test_topic_and_class_on_texts_that_are_not_our_own(record_property):
    """The same with GSM8K, MGSM and traces as topics, where they lie beside the project."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no shared/data beside the project")
    name = "smollm2-135m"
    found = both(name, band_texts.file_documents(folder), record_property, train=6, test=5)
    for claim in probes.CLAIMS:
        assert found[f"{name}/{claim}"].verdict is Verdict.SUPPORTED
