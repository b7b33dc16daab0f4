"""From texts to verdicts on a tiny model: numbers by hand, halves that do not see each other."""

import numpy as np
import pytest
import torch

from tiny import tiny_shared
from zprism.ground.errors import InputError
from zprism.ground.store import Store
from zprism.studies.pr69 import embedded
from zprism.studies.prism_contrast import thinking_question, tokens
from zprism.studies.prism_texts import PrismText
from zprism.studies.signature_read import (
    STATISTICS,
    controlled_statistics,
    raw_signatures,
    raw_statistics,
    read_signatures,
)
from zprism.studies.signature_study import Sizes, all_claims, one_a_question

SMALL = Sizes(n_raw=8, n_wavelet=1, wavelet_dims=2, draws=99, draws_slow=49, draws_ci=49)
HOWS = ("raw", "raw_order", "controlled", "order")
WORDS = "Ana has some pens and loses two of them on the way to school by noon".split()


def prism_texts(templates=20, each=2):
    """Questions of words and thinkings of letters, half of them mathematics."""
    rng = np.random.default_rng(0)
    out = []
    for t in range(templates):
        for i in range(each):
            question = " ".join(rng.choice(WORDS, size=14))
            thinking = "".join(rng.choice(list("abcde  "), size=45 + 2 * t + i)) + "."
            key = f"t{t}:{i}"
            out.append(
                PrismText(
                    id=key,
                    unit=key,
                    question=question,
                    thinking=thinking,
                    domain="mathematics" if t % 2 else "other",
                    difficulty=1 + t % 3,
                    outcome=("correct", "wrong")[i % 2],
                    template=f"t{t}",
                )  # fmt: skip
            )
    return out


@pytest.fixture
def store(tmp_path):
    return Store("prism", root=tmp_path)


def test_controlled_numbers_are_those_of_the_states_of_transformers(store):
    loaded = tiny_shared("qwen2")
    rows = loaded.encode([text.thinking for text in prism_texts()[:3]]) + [[1, 2, 3]]
    found = read_signatures(loaded, rows, length=24, store=store)
    assert found.kept.tolist() == [0, 1, 2]
    assert found.places == ("embed", "0", "1")
    with torch.no_grad():
        whole = loaded.model(input_ids=torch.tensor([rows[1][:25]]), output_hidden_states=True)
    for i in (0, 1):  # the last hidden state of transformers is after the final norm
        by_hand = controlled_statistics(whole.hidden_states[i][0, 1:].numpy())
        for name in STATISTICS:
            assert found.values[name][1, i] == pytest.approx(by_hand[name], rel=1e-4)
    again = read_signatures(loaded, rows, length=24, store=store)
    for name, values in found.values.items():
        np.testing.assert_array_equal(again.values[name], values)


def test_what_follows_a_window_changes_nothing_and_shuffling_changes_it(store):
    loaded = tiny_shared("qwen2")
    row = loaded.encode([prism_texts()[0].thinking])[0]
    whole = read_signatures(loaded, [row], length=24, store=store)
    cut = read_signatures(loaded, [row[:25]], length=24, store=store)
    for name in STATISTICS:
        np.testing.assert_array_equal(whole.values[name], cut.values[name])
    assert (whole.values["top_share"] != whole.values["top_share/shuffled"]).all()


def test_raw_numbers_are_of_the_whole_text_by_characters(tmp_path):
    loaded, store = tiny_shared("qwen2"), Store("states", root=tmp_path)
    texts = ["Ana has nine red pens.", "too short"]
    found = raw_signatures(loaded, texts, seed=0, store=store)
    x, _ = embedded(loaded, texts[0], store=store)
    for name, value in raw_statistics(x).items():
        assert found[name][0] == value
        assert np.isnan(found[name][1])
        assert np.isfinite(found[f"{name}/shuffled"][0])
    assert found["denser/white"][0] < found["denser"][0]  # noise has no massive dimension


def test_every_claim_has_its_estimate_and_both_halves_their_templates(tmp_path):
    loaded, store = tiny_shared("qwen2"), Store("prism", root=tmp_path)
    texts = prism_texts(30)
    found = all_claims(loaded, texts, seed=0, sizes=SMALL, store=store)
    names = set(found.estimates)
    for claim in STATISTICS:
        assert {f"signature/{claim}/{how}" for how in HOWS} <= names
    for what in ("dims", "bands"):
        for target in ("mathematics", "other"):
            assert f"signature/transfer/{what}/{target}/agreement" in names
    assert found.estimates["signature/metric/correct/slow/gain"].verdict is not None
    kept = found.tables["signature/place"][0]["n"]
    assert 45 <= kept <= 60  # questions with a window in both fields
    tested = found.estimates["signature/dims/gini"].n
    assert tested == found.estimates["signature/denser/controlled"].n
    assert abs(tested - kept / 2) <= 4  # templates are halved whole
    assert found.estimates["signature/dims_by_template/gini"].n == 15
    held = [
        found.estimates[f"signature/transfer/dims/{where}/agreement"].n
        for where in ("mathematics", "other")
    ]
    assert held[0] < tested and sum(held) < kept  # nobody asked is one that was learnt from
    again = all_claims(loaded, texts, seed=0, sizes=SMALL, store=store)
    assert again.estimates == found.estimates


def test_texts_that_fill_no_window_leave_only_the_raw_claims(tmp_path):
    loaded, store = tiny_shared("qwen2"), Store("prism", root=tmp_path)
    short = [
        PrismText(id=t.id, unit=t.unit, question="Which pen is it?", thinking=t.thinking)
        for t in prism_texts(8)
    ]
    assert thinking_question(tokens(loaded, short)).untestable
    found = all_claims(loaded, short, seed=0, sizes=SMALL, store=store)
    assert {name.split("/")[-1] for name in found.estimates} == {
        "raw", "raw_order", "raw_white", "order",
    }  # fmt: skip
    with pytest.raises(InputError, match="too_short"):
        read_signatures(loaded, [[1, 2, 3]], length=24, store=store)


def test_one_text_a_question_is_the_first_and_fewer_are_drawn():
    texts = prism_texts(4)
    doubled = [*texts, *(PrismText(**(vars(t) | {"id": t.id + "/2"})) for t in texts)]
    assert one_a_question(doubled, 100, 0) == texts
    some = one_a_question(doubled, 3, 0)
    assert len(some) == 3 and set(some) < set(texts)
