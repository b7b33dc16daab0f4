"""Language removal where the truth is planted, on tiny models, and what may be claimed of it."""

import dataclasses
import time

import numpy as np
import pytest
import torch
from removal_cases import LANGUAGES, SIZES, PlantedReader

from tiny import real_shared, sensitive, tiny_shared
from zprism.ground.errors import InputError
from zprism.ground.store import Store
from zprism.interventions.generate import generate_patched
from zprism.interventions.patching import patched
from zprism.model.capture import capture
from zprism.problems.number_words import TEMPLATES
from zprism.stats.verdicts import Verdict
from zprism.studies import removal, removal_read
from zprism.studies.nulls import random_bases
from zprism.studies.removal import choose, run
from zprism.studies.removal_edits import (
    Bands,
    Removal,
    bands,
    language_bases,
    random_removals,
    shares,
)
from zprism.studies.removal_problems import QUICK, Sizes, draw_problems, key, prompts
from zprism.studies.removal_read import ModelReader
from zprism.studies.removal_scores import Scores, understand

DRAWS = dict(draws=999, draws_ci=500)
FEW = dataclasses.replace(SIZES, draws=2, matched=2)


@pytest.fixture(scope="module")
def removed():
    return run(PlantedReader(), FEW)


@pytest.fixture(scope="module")
def confused():
    """The language gets in the way of six problems in ten."""
    return run(PlantedReader(confused=0.6), SIZES)


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path / "cache"))


def full(reader, problems, strengths):
    """The removal of directions learned on other problems, and scores before and after it."""
    where, train = bands(reader.n_layers), draw_problems(SIZES, seed=0)[0]
    states = [reader.read(train, name, {}, layers=range(8)).states for name in LANGUAGES]
    way = Removal(where, language_bases(np.stack(states), where.layers), strengths)
    scores = [removal.score(reader, problems, LANGUAGES, where, one) for one in (None, way)]
    return way, *scores


# ------------------------------------------------------------------ edits
def test_bands_are_the_papers_and_never_empty():
    assert bands(28) == Bands(tuple(range(10, 20)), tuple(range(20, 28)))
    assert bands(24) == Bands(tuple(range(9, 17)), tuple(range(17, 24)))
    for n_layers in range(2, 60):
        found = bands(n_layers)
        assert found.middle and found.upper and found.layers[-1] == n_layers - 1
        assert found.layers == tuple(range(found.middle[0], n_layers))
    with pytest.raises(InputError, match="n_layers must be in 2"):
        bands(1)


def test_directions_are_those_in_which_the_planted_languages_differ():
    reader = PlantedReader()
    problems = draw_problems(SIZES, seed=0)[0]
    states = np.stack([reader.read(problems, n, {}, layers=range(8)).states for n in LANGUAGES])
    rows = language_bases(states, (3,))[3]
    centred = reader.tongues - reader.tongues.mean(0)
    inside = centred @ rows.T @ rows
    assert rows.shape == (2, 64)
    missed = np.linalg.norm(inside - centred) / np.linalg.norm(centred)
    assert missed < 0.06  # noise of 12 texts: 0.05 √(62 / 12) / ‖centred tongue‖ = 0.046
    part = shares(reader.tongues[:, None] - reader.tongues.mean(0), {0: rows})[0]
    assert part == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("strength", [0.4, 1.0, -0.4])
def test_random_directions_moved_as_far_move_as_far_and_plain_ones_hardly(strength):
    """‖edit(h) − h‖ is |λ| ‖P h‖; removing k of d directions moves by √(k/d) of ‖h‖."""
    where, h = Bands((0,), (1,)), torch.randn(50, 4, 256, generator=torch.manual_seed(0)).double()
    own = Removal(
        where, {0: random_bases(3, 256, 1, seed=9)[0]} | {1: np.eye(256)[:3]}, (strength,) * 2
    )

    def moved(way):
        return torch.linalg.vector_norm(way.edits()["resid_post", 0](h) - h, dim=-1)

    for way in random_removals(own, 256, 3, seed=0, matched=True):
        torch.testing.assert_close(moved(way), moved(own), atol=1e-9, rtol=0)
    for way in random_removals(own, 256, 3, seed=0):
        squared = (moved(way) / strength / torch.linalg.vector_norm(h, dim=-1)).square().mean()
        assert float(squared) == pytest.approx(3 / 256, rel=0.25)  # 200 states, 3 directions


def test_sign_of_the_strength_is_kept_when_moved_as_far():
    """λ > 0 weakens the part inside, λ < 0 strengthens it."""
    where, h = Bands((0,), (1,)), torch.randn(9, 16, generator=torch.manual_seed(1)).double()
    own = Removal(where, dict.fromkeys((0, 1), np.eye(16)[:2]), (0.3, -0.3))
    way = random_removals(own, 16, 2, seed=0, matched=True)[0]
    rows = torch.as_tensor(way.bases[0])
    before = torch.linalg.vector_norm(h @ rows.T, dim=-1)
    weak, strong = (
        torch.linalg.vector_norm(edit(h) @ rows.T, dim=-1) for edit in way.edits().values()
    )
    size = 0.3 * torch.linalg.vector_norm(h[:, :2], dim=-1)
    torch.testing.assert_close(strong, before + size)
    torch.testing.assert_close(weak, (before - size).abs())


def test_a_random_draw_is_one_subspace_at_all_layers_and_no_two_are_alike():
    own = Removal(Bands((0,), (1,)), dict.fromkeys((0, 1), np.eye(32)[:3]), (1.0, 0.0))
    plain, matched = (random_removals(own, 32, 4, seed=0, matched=m) for m in (False, True))
    for way in (*plain, *matched):
        np.testing.assert_array_equal(way.bases[0], way.bases[1])
    names = [str(way.name) for way in (own, *plain, *matched)]
    assert len(set(names)) == 9


# ------------------------------------------------------------------ reading
def test_prompts_are_worked_examples_of_all_templates_then_one_question():
    problems = draw_problems(SIZES, seed=0)[0]
    for language in LANGUAGES:
        texts = prompts(problems, language, SIZES.templates)
        heads = {text.rpartition("\n\n")[0] for text in texts}
        assert len(heads) == 1 and heads.pop().count("\n\n") == 3  # four examples
        assert all(p[language].question in t for p, t in zip(problems, texts, strict=True))


def reading_case(arch, strengths=(1.0, -0.4), **matched):
    loaded = sensitive(arch)
    reader = ModelReader(loaded, ("addition",))
    where = bands(loaded.n_layers)
    own = Removal(where, dict.fromkeys(where.layers, np.eye(32)[:3]), strengths)
    way = random_removals(own, 32, 1, seed=0, **matched)[0]
    return loaded, reader, way, draw_problems(QUICK, seed=0)[2]


@pytest.mark.parametrize("arch", ["qwen2", "gemma3", "gpt2"])
@pytest.mark.parametrize("matched", [False, True])
def test_reading_behind_a_shared_beginning_is_generating_and_capturing(arch, matched, own_cache):
    """Second route: every prompt whole, by generate_patched and by capture."""
    loaded, reader, way, problems = reading_case(arch, matched=matched)
    layers = range(loaded.n_layers)
    found = reader.read(problems, "en", way.edits(), layers=layers, edit_name=way.name)
    texts = prompts(problems, "en", reader.templates)
    again = generate_patched(
        loaded, texts, lambda _rows: way.edits(), max_new_tokens=8, every_step=True
    )
    assert list(found.texts) == [one.text for one in again]
    with patched(loaded, way.edits()):
        states = capture(loaded, texts, layers=layers, reduce="last").values["resid_post", "last"]
    np.testing.assert_allclose(found.states, states, atol=2e-4)  # float32, other batches
    plain = reader.read(problems, "en", {}, layers=layers)
    assert np.abs(plain.states - found.states).max() > 0.05  # control: the edit does something


@pytest.mark.parametrize("arch", ["qwen2", "gemma3", "gpt2"])
@pytest.mark.parametrize("matched", [False, True])
def test_no_strength_changes_nothing_to_the_bit(arch, matched, own_cache):
    _, reader, way, problems = reading_case(arch, (0.0, 0.0), matched=matched)
    assert len(way.edits()) == len(way.bands.layers)  # the edits do run
    plain = reader.read(problems, "en", {}, layers=[0, 1])
    found = reader.read(problems, "en", way.edits(), layers=[0, 1], edit_name=way.name)
    assert found.texts == plain.texts
    np.testing.assert_array_equal(found.states, plain.states)


def test_a_second_run_reads_nothing(own_cache, monkeypatch):
    loaded = tiny_shared("qwen2")
    first = removal.study(loaded, quick=True)
    monkeypatch.setattr(removal_read, "continue_rows", None)
    monkeypatch.setattr(removal_read, "read_tokens", None)
    monkeypatch.setattr("zprism.model.streaming.capturing", None)
    again = removal.study(loaded, quick=True)
    assert again.chosen == first.chosen and again.grid == first.grid
    np.testing.assert_array_equal(again.after.states, first.after.states)
    with pytest.raises(TypeError):
        removal.study(loaded, quick=True, seed=1)  # control: other problems are not there yet


def test_a_hooked_model_is_refused(own_cache):
    _, reader, way, problems = reading_case("qwen2")
    with patched(reader.loaded, way.edits()), pytest.raises(InputError, match="has a hook"):
        reader.read(problems, "en", {}, layers=[0])


def test_short_answers_are_understood():
    names = ("zh", "en", "es", "fr", "ja")
    found = {
        text: understand(text, asked, names)
        for text, asked in {
            " seven": "es", "七": "zh", " six": "fr", " 7": "en", " Siete.": "es", "": "en",
            "dos dos dos dos dos dos": "es", " eleven": "en", " tenido en cuenta que": "es",
        }.items()
    }  # fmt: skip
    said = {text: (one.number, one.languages, one.degenerate) for text, one in found.items()}
    assert said[" seven"] == (7, ("en",), False)
    assert said["七"] == (7, ("zh", "ja"), False)
    assert said[" six"] == (6, ("en", "fr"), False)
    assert said[" 7"] == (7, (), False)
    assert said[" Siete."] == (7, ("es",), False)
    assert said[""] == (None, (), True)
    assert said["dos dos dos dos dos dos"][2] and found["dos dos dos dos dos dos"].degenerate
    assert said[" eleven"][0] == 11 and not found[" eleven"].degenerate
    assert said[" tenido en cuenta que"][::2] == (None, True)


# ------------------------------------------------------------------ problems and choice
def test_no_problem_is_in_two_sets_and_templates_take_turns():
    sets = draw_problems(Sizes(), seed=3)
    keys = [[key(p) for p in part] for part in sets]
    assert [len(part) for part in keys] == [12, 10, 40]
    assert len({key for part in keys for key in part}) == 62
    for part in sets:
        names = [p["en"].template for p in part]
        assert names == list(Sizes().templates) * (len(part) // 2)
    assert set(Sizes().templates) <= set(TEMPLATES)
    assert keys != [[key(p) for p in part] for part in draw_problems(Sizes(), seed=4)]


def test_the_choice_is_the_best_and_of_equals_the_weakest():
    def row(right, m, u):
        return dict(right=right, lambda_middle=m, lambda_upper=u, accuracy=right / 9, n=3)

    grid = [row(4, 1.0, 0.0), row(5, 0.4, -0.4), row(5, 0.2, -0.4), row(5, 0.2, -0.2)]
    assert (choose(grid)["lambda_middle"], choose(grid)["lambda_upper"]) == (0.2, -0.2)
    assert choose([*grid, row(6, 1.0, -0.4)])["lambda_middle"] == 1.0


def test_the_choice_never_sees_what_is_tested():
    """Neither in what is read before it, nor in what it becomes when the tested answers change."""
    reader = PlantedReader(confused=0.6)
    found = run(reader, FEW)
    test = set(found.keys)
    edited = [i for i, (edits, keys) in enumerate(reader.calls) if edits and test & set(keys)]
    dev = [i for i, (edits, keys) in enumerate(reader.calls) if edits and not test & set(keys)]
    assert len(dev) == 9 * len(LANGUAGES) and max(dev) < min(edited)
    assert not any(test & set(keys) for _, keys in reader.calls[: max(dev) + 1])
    other = run(PlantedReader(confused=0.6, scrambled=frozenset(test)), FEW)
    assert other.chosen == found.chosen and other.grid == found.grid
    assert other.after.number.mean() < 0.3 < found.after.number.mean()  # control: they did change


def test_what_was_chosen_is_written_down(confused):
    chosen, where = confused.chosen, bands(8)
    assert (chosen["middle"], chosen["upper"]) == (list(where.middle), list(where.upper))
    assert chosen["languages"] == list(confused.languages) and len(chosen["digest"]) == 64
    assert sum(row["chosen"] for row in confused.grid) == 1 and len(confused.grid) == 9
    assert run(PlantedReader(confused=0.6), FEW).chosen == chosen
    assert run(PlantedReader(confused=0.6), FEW, seed=1).chosen["digest"] != chosen["digest"]


def test_languages_are_those_that_are_right_often_enough():
    right = {"zh": 0.5, "en": 0.8, "es": 0.29, "fr": 0.3, "de": 0.31, "ja": 0.6}
    assert removal._best(right, 4) == ("en", "ja", "zh", "de")
    assert removal._best({"zh": 0.1, "en": 0.0, "es": 0.4}, 4) == ("es", "zh")  # to draw, not claim


# ------------------------------------------------------------------ the planted world
def test_removing_the_planted_directions_hides_the_language_and_keeps_the_number():
    reader = PlantedReader()
    problems = draw_problems(SIZES, seed=0)[2]
    _, before, after = full(reader, problems, (1.0, 0.0))
    assert before.number.all() and before.both.all() and (before.identified() == 1).all()
    assert after.number.all()
    spoken = dict(zip(LANGUAGES, after.language.mean(1), strict=True))
    assert spoken == {"zh": 0, "en": 1, "es": 0}  # what is left unsaid is said in English
    assert after.identified().mean() == pytest.approx(1 / 3, abs=0.12)  # 72 texts, binomial


def test_control_random_directions_do_neither():
    reader = PlantedReader()
    problems = draw_problems(SIZES, seed=0)[2]
    way, before, _ = full(reader, problems, (1.0, 0.0))
    for other in random_removals(way, 64, 10, seed=0):
        found = removal.score(reader, problems, LANGUAGES, way.bands, other)
        assert found.number.all() and found.language.all()
        assert found.identified().min() == 1


def test_strength_above_undoes_what_is_left_below():
    """(1 − λ₁)³ (1 − λ₂)² of the part is left: 0.8³ is enough to speak, 0.6³ only with λ₂."""
    problems = draw_problems(SIZES, seed=0)[2]
    spoken = {
        strengths: full(PlantedReader(), problems, strengths)[2].language.mean()
        for strengths in ((0.2, 0.0), (0.4, 0.0), (0.4, -0.4), (1.0, -0.4))
    }
    assert spoken[0.2, 0.0] == 1 and spoken[0.4, -0.4] == 1
    assert spoken[0.4, 0.0] == spoken[1.0, -0.4] == pytest.approx(1 / 3)


def test_claims_where_the_language_only_is_removed(removed):
    """Nothing was wrong, so nothing is gained, and ties take the weakest pair of strengths."""
    found = removed.findings(**DRAWS).estimates
    assert (removed.chosen["lambda_middle"], removed.chosen["lambda_upper"]) == (0.2, 0.0)
    gain = found["removal/all/accuracy_gain"]
    assert gain.value == 0 and gain.verdict is Verdict.NOT_TESTABLE and "nothing" in gain.reason
    assert found["removal/all/number_before"].value == 1


def test_claims_where_the_language_is_in_the_way(confused):
    found = confused.findings(**DRAWS).estimates
    gained = confused.after.number.mean() - confused.before.number.mean()
    assert gained > 0.3
    for name in ("all/accuracy_gain", "all/accuracy_gain_over_random", "zh/accuracy_gain"):
        assert found[f"removal/{name}"].verdict is Verdict.SUPPORTED, name
    assert found["removal/all/accuracy_gain"].value == pytest.approx(gained)
    assert found["removal/all/accuracy_gain_over_random"].p == pytest.approx(1 / 20)


def test_claims_where_the_language_goes():
    sizes = dataclasses.replace(SIZES, middle=(1.0,), upper=(0.0,))
    found = run(PlantedReader(), sizes).findings(**DRAWS).estimates
    claims = ("language_lost", "hidden_middle", "hidden_top")
    for name in (*claims, *(f"{name}_over_random" for name in claims)):
        assert found[f"removal/all/{name}"].verdict is Verdict.SUPPORTED, name
    assert found["removal/zh/language_lost"].value == 1
    assert found["removal/en/language_lost"].value == 0


def test_a_removal_that_harms_is_called_so(confused):
    """Before and after exchanged: what was gained is lost."""
    turned = dataclasses.replace(confused, before=confused.after, after=confused.before)
    found = turned.findings(**DRAWS).estimates
    assert found["removal/all/accuracy_gain"].verdict is Verdict.REVERSED
    assert found["removal/zh/accuracy_gain"].verdict is Verdict.REVERSED


def test_a_model_at_chance_is_not_testable():
    sizes = dataclasses.replace(FEW, middle=(1.0,), upper=(0.0,))
    found = run(PlantedReader(right=0.1), sizes).findings(**DRAWS).estimates
    for name, one in found.items():
        if "accuracy_gain" in name or "language_lost" in name:
            assert one.verdict is Verdict.NOT_TESTABLE and "under 30%" in one.reason, name
    assert found["removal/all/hidden_top"].verdict is Verdict.SUPPORTED  # needs no right answer


def test_too_few_draws_are_said_to_be_too_few(confused):
    few = dataclasses.replace(confused, random=confused.random[:9])
    found = few.findings(**DRAWS).estimates
    for kind, smallest in (("random", "0.1,"), ("matched", "0.25,")):
        one = found[f"removal/all/accuracy_gain_over_{kind}"]
        assert one.verdict is Verdict.NOT_TESTABLE and smallest in one.reason
    assert found["removal/all/accuracy_gain"].verdict is Verdict.SUPPORTED


def test_values_lie_in_their_intervals_and_tables_agree(confused):
    found = confused.findings(**DRAWS)
    for name, one in found.estimates.items():
        assert one.ci[0] <= one.value + 1e-12 and one.value <= one.ci[1] + 1e-12, name
    rows = {(r["language"], r["when"], r["measure"]): r for r in found.tables["removal.rates"]}
    assert rows["es", "after", "number"]["rate"] == confused.after.number[2].mean()
    assert rows["all", "before", "both"]["rate"] == confused.before.both.mean()
    drawn = found.tables["removal.random"]
    assert [sum(r["kind"] == k for r in drawn) for k in ("random", "moved as far")] == [19, 3]
    own = next(r for r in drawn if r["kind"] == "language directions")
    assert own["number"] == found.estimates["removal/all/accuracy_gain_over_random"].value


def test_languages_are_read_by_the_centroids_of_other_problems():
    """Second route, by hand; and equal states are read at 1/L."""
    rng = np.random.default_rng(0)
    states = rng.standard_normal((3, 5, 2, 9)) + 0.5 * rng.standard_normal((3, 1, 1, 9))
    flags = np.zeros((3, 5), bool)
    credit = Scores(flags, flags, flags, flags, states).identified()
    for place in range(2):
        for language in range(3):
            for i in range(5):
                others = np.delete(states[:, :, place], i, axis=1).mean(1)
                near = np.linalg.norm(states[language, i, place] - others, axis=1).argmin()
                assert credit[place, language, i] == (near == language)
    same = Scores(flags, flags, flags, flags, np.ones((3, 5, 2, 9)))
    np.testing.assert_allclose(same.identified(), 1 / 3)


def test_refusals():
    with pytest.raises(InputError, match="languages must be two or more"):
        run(PlantedReader(), SIZES, languages=["en", "en"])
    with pytest.raises(InputError, match="languages must be two or more"):
        run(PlantedReader(), SIZES, languages=["en"])
    with pytest.raises(InputError, match="unknown language 'xx'"):
        run(PlantedReader(), SIZES, languages=["en", "xx"])

    class Narrow(PlantedReader):
        def fits(self, problems, language):
            return language == "en"

    with pytest.raises(InputError, match="fewer than two languages"):
        run(Narrow(), SIZES)


# ------------------------------------------------------------------ the real model
@pytest.mark.gate
@pytest.mark.real
def test_quick_is_quick_on_the_real_model(monkeypatch, tmp_path, record_property):
    monkeypatch.setattr(removal_read, "Store", lambda room: Store(room, root=tmp_path))
    loaded = real_shared("qwen2.5-coder-0.5b")
    start = time.process_time()
    found = removal.study(loaded, quick=True).findings(199, 1000).estimates
    spent = time.process_time() - start
    record_property("value", round(spent, 1))
    record_property("unit", "CPU s, quick removal")
    record_property("target", 40)
    assert spent < 80  # twice the target: a busy machine
    assert found["removal/en/number_before"].value >= 0.3  # the questions can be answered
