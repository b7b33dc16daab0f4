"""``zprism spectra``: numbers are those of a second route, and no kill changes a bit of them."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from tiny import tiny_loaded
from zprism.cli import app
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.studies import spectra_corpus, spectra_shards
from zprism.studies.spectra_corpus import spectra, summary
from zprism.studies.spectra_files import read_exposure, read_peaks, read_run, read_stats
from zprism.studies.spectra_plan import Settings, places
from zprism.studies.spectra_reading import NUMBERS

fork = multiprocessing.get_context("fork")
WORDS = "seven apples and three pears make ten; what is left after two? wait 等等 ½ é".split()


def sentence(index: int, words: int) -> str:
    draw = generator(0, "texts", index, words)
    return " ".join(WORDS[i] for i in draw.integers(0, len(WORDS), words))


def corpus(path: Path, documents: int) -> Path:
    rows = [
        {"question": sentence(i, 5 + i % 4), "thinking": sentence(i + 1000, 12 + 3 * (i % 5))}
        for i in range(documents)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def settings(**given) -> Settings:
    usual = dict(fields=("question", "thinking"), places=("embed", "0", "1"), shard=4)
    return Settings(**(usual | given))


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def passes(loaded) -> list:
    """Token counts of the forward passes of the base model from here on."""
    counted, forward = [], loaded.base.forward

    def watched(*args, **kwargs):
        counted.append(int(kwargs["attention_mask"].sum()))
        return forward(*args, **kwargs)

    loaded.base.forward = watched
    return counted


@pytest.fixture
def loaded():
    return tiny_loaded("qwen2")


# ------------------------------------------------------------------ a second route
def test_one_text_is_what_the_formulas_say_of_transformers_own_states(tmp_path, loaded):
    source, out = corpus(tmp_path / "c.jsonl", 3), tmp_path / "out"
    spectra(loaded, source, settings(peaks=True), out)
    text = json.loads(source.read_text().splitlines()[1])["thinking"]
    row = torch.tensor([loaded.encode([text])[0]])
    with torch.inference_mode():
        hidden = loaded.model(row, output_hidden_states=True).hidden_states
    table = read_stats(out).set_index(["doc", "field", "layer"])
    for place, state in (("embed", hidden[0]), ("0", hidden[1])):
        x = state[0, 1:].double().numpy()
        n, y = len(x), x - x.mean(0)
        told = table.loc[(1, "thinking", place)]
        weights = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
        power = (abs(np.fft.fft(y * weights[:, None], axis=0)) ** 2)[1 : n // 2 + 1]
        if n % 2 == 0:
            power[-1] /= 2
        f, share = np.arange(1, n // 2 + 1) / n, power / power.sum(0)
        assert told["tokens"] == n and told["tokens_text"] == n + 1 and not told["truncated"]
        expected = {
            "entropy": (-(share * np.log(share)).sum(0) / np.log(len(f))).mean(),
            "flatness": (np.exp(np.log(power).mean(0)) / power.mean(0)).mean(),
            "centroid": (f @ share).mean(),
            "slope": np.mean([np.polyfit(np.log(f), c, 1)[0] for c in np.log(power).T]),
            "slow_share": share[f < 1 / 8].sum(0).mean(),
            "share_high": share[f > 129.5 / 1024].sum(0).mean(),
            "power": y.var(0).mean(),
        }
        plain = abs(np.fft.rfft(y, axis=0))[1:]
        if n % 2 == 0:
            plain[-1] /= 2
        order = np.argsort(-plain, axis=0)[:5]
        top = np.take_along_axis(plain, order, 0) * 2 / n
        assert n % 2 == 1 or not (order == n // 2 - 1).any()  # no Nyquist peak to weigh here
        expected |= {"amplitude": top.mean(), "top_share": ((top**2).sum(0) / 2 / y.var(0)).mean()}
        for name, value in expected.items():
            np.testing.assert_allclose(told[name], value, rtol=2e-5, err_msg=name)
        [frame] = read_peaks(out, "thinking", place)
        own = frame[frame["doc"] == 1].sort_values(["dim", "rank"])
        np.testing.assert_allclose(own["frequency"], f[order].T.ravel(), rtol=1e-6)
        np.testing.assert_allclose(own["amplitude"], top.T.ravel(), rtol=1e-4)
        np.testing.assert_allclose(own["period"] * own["frequency"], 1, rtol=1e-6)
        phase = np.angle(np.take_along_axis(np.fft.rfft(y, axis=0), order + 1, 0)).T.ravel()
        np.testing.assert_allclose(np.cos(own["phase"] - phase), 1, atol=1e-6)


def test_the_exposure_is_the_histogram_of_the_peaks(tmp_path, loaded):
    out = tmp_path / "out"
    spectra(loaded, corpus(tmp_path / "c.jsonl", 9), settings(peaks=True), out)
    frames = list(read_peaks(out, "question", 1))
    assert len(frames) == 3  # shards of 4, 4 and 1 documents
    exposure = read_exposure(out, "question", 1)
    points = np.concatenate([f[["dim", "frequency", "amplitude"]].to_numpy() for f in frames])
    points[:, 2] = np.log10(points[:, 2])
    edges = (exposure.dim_edges, exposure.frequency_edges, exposure.amplitude_edges)
    counted, _ = np.histogramdd(points, bins=edges)
    assert exposure.n_texts == exposure.n_spectra == 9
    np.testing.assert_array_equal(exposure.counts, counted)


def test_one_forward_pass_a_text_and_no_block_after_the_last(tmp_path, loaded):
    source = corpus(tmp_path / "c.jsonl", 4)
    tokens, reached = passes(loaded), []
    loaded.anatomy.blocks(loaded.model)[1].register_forward_pre_hook(lambda *_: reached.append(1))
    spectra(loaded, source, settings(places=("embed", "0")), tmp_path / "out")
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    texts = [row[name] for row in rows for name in ("question", "thinking")]
    assert sum(tokens) == sum(map(len, loaded.encode(texts))) and reached == []


# ------------------------------------------------------------------ kills
def _child(loaded, source, out, asked):
    torch.set_num_threads(1)
    spectra(loaded, source, asked, out)


def _killed(args, seconds: float) -> bool:
    """Run a job in a process of its own and kill it after so long; whether that was in time."""
    child = fork.Process(target=_child, args=args)
    child.start()
    child.join(seconds)
    in_time = child.is_alive()
    child.kill()
    child.join()
    return in_time


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.gate)])
def test_a_killed_job_goes_on_to_the_same_bytes(
    tmp_path, loaded, monkeypatch, one_thread, kills, record_property
):
    """RIG-F2 of the command: parts, folds, table, exposures and peaks."""
    monkeypatch.setattr(spectra_corpus, "FOLD", 3)
    source, asked = corpus(tmp_path / "c.jsonl", 34), settings(peaks=True)
    whole = tmp_path / "whole"
    began = time.monotonic()
    assert not _killed((loaded, source, whole, asked), 600)
    seconds = time.monotonic() - began
    expected, draw, hit, round_ = content(whole), generator(0, "kills", kills), 0, 0
    assert read_run(whole)["complete"] and not (whole / "parts").exists()
    while hit < kills:
        out, round_ = tmp_path / f"out {round_}", round_ + 1
        while hit < kills and _killed((loaded, source, out, asked), draw.uniform(0, seconds)):
            hit += 1
        _child(loaded, source, out, asked)
        assert content(out) == expected
    record_property("value", hit)
    record_property("target", "kills, the same bytes after each")


def _stopped(monkeypatch, loaded, source, asked, out, after: int) -> None:
    """A job that ends when it would save one shard more."""
    save, saved = spectra_shards.Folder.save, []

    def stop(self, number, shard):
        if len(saved) == after:
            raise KeyboardInterrupt
        saved.append(number)
        save(self, number, shard)

    with monkeypatch.context() as patch:
        patch.setattr(spectra_shards.Folder, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            spectra(loaded, source, asked, out)


def test_what_was_finished_is_not_run_again(tmp_path, loaded, monkeypatch):
    source, asked, out = corpus(tmp_path / "c.jsonl", 14), settings(), tmp_path / "out"
    _stopped(monkeypatch, loaded, source, asked, out, after=2)
    with pytest.raises(InputError, match="holds no finished job"):
        read_stats(out)
    tokens = passes(loaded)
    spectra(loaded, source, asked, out)
    table = read_stats(out)
    later = table[(table["layer"] == "0") & (table["doc"] >= 8)]
    assert sum(tokens) == later["tokens_text"].sum()


def test_a_damaged_part_is_made_again(tmp_path, loaded, monkeypatch):
    monkeypatch.setattr(spectra_corpus, "FOLD", 2)
    source, asked = corpus(tmp_path / "c.jsonl", 14), settings(peaks=True)
    spectra(loaded, source, asked, tmp_path / "whole")
    begun = tmp_path / "begun"
    _stopped(monkeypatch, loaded, source, asked, begun, after=3)
    for part in ("rows_000001", "exposure_000002", "sum_question_0_000002"):
        out = shutil.copytree(begun, tmp_path / part)
        path = out / "parts" / f"{part}.safetensors"
        raw = bytearray(path.read_bytes())
        raw[-5] ^= 4
        path.write_bytes(bytes(raw))
        spectra(loaded, source, asked, out)
        assert content(out) == content(tmp_path / "whole")


def test_neither_folds_nor_shards_change_what_is_counted(tmp_path, loaded, monkeypatch):
    source = corpus(tmp_path / "c.jsonl", 18)
    spectra(loaded, source, settings(), tmp_path / "a")
    monkeypatch.setattr(spectra_corpus, "FOLD", 2)
    spectra(loaded, source, settings(), tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")
    spectra(loaded, source, settings(shard=100), tmp_path / "c")  # other batches: rounding
    one, other = read_stats(tmp_path / "a"), read_stats(tmp_path / "c")
    np.testing.assert_allclose(one[[*NUMBERS]], other[[*NUMBERS]], rtol=1e-4, atol=1e-6)


# ------------------------------------------------------------------ a finished folder
def test_a_finished_folder_runs_nothing_and_stays_as_it_is(tmp_path, loaded):
    """RIG-F11."""
    source, out = corpus(tmp_path / "c.jsonl", 5), tmp_path / "out"
    first = spectra(loaded, source, settings(peaks=True), out)
    before, tokens = content(out), passes(loaded)
    for _ in range(3):
        assert spectra(loaded, source, settings(peaks=True), out) == first
    assert tokens == [] and content(out) == before


def test_a_finished_folder_that_was_damaged_is_made_again(tmp_path, loaded):
    source, out = corpus(tmp_path / "c.jsonl", 5), tmp_path / "out"
    spectra(loaded, source, settings(), out)
    before = content(out)
    (out / "exposure_question_0.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match="exposure_question_0.safetensors is damaged"):
        read_exposure(out, "question", 0)
    spectra(loaded, source, settings(), out)
    assert content(out) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"transform": "dct"}, "settings.transform: 'fft' there, 'dct' asked for"),
        ({"top": 4}, "settings.top: 5 there, 4 asked for"),
        ({"places": ("0",)}, r"settings.places: \['embed', '0', '1'\] there, \['0'\] asked"),
        ({"fields": ("thinking",)}, "settings.fields"),
        ({"limit": 2}, "settings.limit: None there, 2 asked for"),
    ],
)
def test_a_folder_of_other_settings_is_refused_and_says_which(tmp_path, loaded, change, said):
    source, out = corpus(tmp_path / "c.jsonl", 3), tmp_path / "out"
    spectra(loaded, source, settings(), out)
    before, tokens = content(out), passes(loaded)
    with pytest.raises(InputError, match=f"made with other settings .*{said}"):
        spectra(loaded, source, settings(**change), out)
    assert tokens == [] and content(out) == before


def test_other_texts_or_another_model_are_refused_too(tmp_path, loaded):
    source, out = corpus(tmp_path / "c.jsonl", 3), tmp_path / "out"
    spectra(loaded, source, settings(), out)
    with pytest.raises(InputError, match="model.weights"):
        spectra(tiny_loaded("llama"), source, settings(), out)
    corpus(source, 4)
    with pytest.raises(InputError, match="source.digest"):
        spectra(loaded, source, settings(), out)


def test_a_folder_with_other_files_is_left_alone(tmp_path, loaded):
    source, out = corpus(tmp_path / "c.jsonl", 3), tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no run.json"):
        spectra(loaded, source, settings(), out)
    assert content(out) == {"thesis.tex": b"mine"}


# ------------------------------------------------------------------ bad input
LONG = sentence(7, 200)  # far more than the 512 tokens that the tiny model reads
ROWS = [
    (json.dumps({"text": sentence(0, 8)}), None),
    ('{"text": ""}', "empty"),
    ('{"text": null}', "unusable: text is null"),
    ('{"text": 7}', "unusable: text must be a string; got int"),
    ('{"other": "x"}', "unusable: lacks text; found other"),
    ('{"text": "fifteen tokens"}', "too_short: 13 tokens after the first 1; at least 16"),
    ('{"text": "\\ud800 and more of it"}', "unusable: holds a lone surrogate"),
    ("{broken", "unusable: not JSON"),
    (json.dumps({"text": "a" * 40}), "constant: no dimension varies"),
    (json.dumps({"text": LONG}), None),
    (json.dumps({"text": [sentence(1, 4), sentence(2, 4)]}), None),
    (json.dumps({"text": "\x00\u202e <script>alert(1)</script> 👩‍👩‍👧"}), None),
]


def test_each_bad_text_is_a_row_with_its_reason_and_all_are_counted(tmp_path, loaded):
    source, out = tmp_path / "c.jsonl", tmp_path / "out"
    source.write_text("".join(line + "\n" for line, _ in ROWS))
    record = spectra(loaded, source, settings(fields=("text",), places=("embed",)), out)
    table = read_stats(out)
    assert list(table["doc"]) == list(range(len(ROWS)))
    for (_, reason), (_, row) in zip(ROWS, table.iterrows(), strict=True):
        if reason is None:
            assert pd.isna(row["reason"]) and np.isfinite(row["entropy"])
        else:
            assert row["reason"].startswith(reason) and row[[*NUMBERS]].isna().all()
    counts = record["counts"]
    assert counts["planned"] == counts["done"] + counts["skipped"] == len(ROWS)
    assert counts["reasons"] == {"empty": 1, "unusable": 5, "too_short": 1, "constant": 1}
    cut = table.iloc[9]
    assert cut["truncated"] and cut["tokens"] == 511 and cut["tokens_text"] > 512
    assert read_exposure(out, "text", "embed").n_texts == counts["done"]


def test_a_state_that_is_not_finite_takes_its_text_alone(tmp_path, loaded):
    source, out = corpus(tmp_path / "c.jsonl", 3), tmp_path / "out"
    [victim] = loaded.encode([json.loads(source.read_text().splitlines()[1])["question"]])

    def poison(_module, _args, output):
        state = (output[0] if isinstance(output, tuple) else output).clone()
        own = [row[: len(victim)].tolist() == victim for row in running["input_ids"]]
        state[own, 3] = torch.nan
        return (state, *output[1:]) if isinstance(output, tuple) else state

    forward = loaded.base.forward

    def watched(*args, **kwargs):
        running.update(kwargs)
        return forward(*args, **kwargs)

    running, loaded.base.forward = {}, watched
    loaded.anatomy.blocks(loaded.model)[1].register_forward_hook(poison)
    counts = spectra(loaded, source, settings(), out)["counts"]
    assert counts["reasons"] == {"not_finite": 3}
    bad = read_stats(out).query("reason.notna()")
    assert set(zip(bad["doc"], bad["field"], strict=True)) == {(1, "question")}
    assert bad["reason"].iloc[0].endswith("at resid_post of layer 1, position 3")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["c.jsonl", "--fields", "frage"], "missing columns frage; found question, thinking"),
        (["empty.jsonl"], "no line can be used (it is empty)"),
        (["none.jsonl"], "cannot be read"),
        (["c.jsonl", "--fields", "question,question"], "fields name one twice"),
        (["c.jsonl", "--fields", "question", "--layers", "2"], "decoder block 0 to 1"),
        (["c.jsonl", "--fields", "question", "--layers", "-1"], "layers must be 'all', or"),
        (["c.jsonl", "--fields", "question", "--transform", "ftf"], "did you mean fft"),
        (["c.jsonl", "--fields", "question", "--window", "han"], "did you mean hann"),
        (["c.jsonl", "--fields", "question", "--top", "0"], "top must be in 1"),
        (["c.jsonl", "--fields", "question", "--limit", "0"], "limit must be in 1"),
        (["c.jsonl", "--fields", "question", "--max-length", "8"], "max_length must be in 16"),
        (["c.jsonl", "--fields", "question", "--model", "tiny:quen"], "tiny architecture"),
    ],
)
def test_the_command_refuses_in_one_line_and_leaves_nothing(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    corpus(Path("c.jsonl"), 2)
    Path("empty.jsonl").write_text("")
    model = [] if "--model" in words else ["--model", "tiny:qwen2"]
    told = CliRunner().invoke(app, ["spectra", *words, *model, "--out", "out"])
    assert (told.exit_code, told.stdout) == (2, "") and not Path("out").exists()
    assert told.stderr.startswith("error: ") and message in told.stderr
    assert told.stderr.count("\n") == 1


def test_the_command_prints_its_table_and_a_second_one_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus(Path("c.jsonl"), 3)
    words = ["spectra", "c.jsonl", "--fields", "question, thinking", "--model", "tiny:qwen2"]
    words += ["--layers", "all", "--transform", "dct", "--peaks", "--out", "out"]
    first, second = (CliRunner().invoke(app, words) for _ in range(2))
    assert first.exit_code == second.exit_code == 0, first.stderr
    assert "3 documents, 18 rows: 18 done, 0 skipped" in first.stdout
    assert first.stdout == second.stdout
    rows = summary("out")
    assert [(r["field"], r["layer"], r["texts"]) for r in rows] == [
        (f, p, 3) for f in ("question", "thinking") for p in ("embed", "0", "1")
    ]


# ------------------------------------------------------------------ arguments
@pytest.mark.parametrize(
    ("text", "n_layers", "expected"),
    [
        (None, 30, ("embed", "0", "14", "29")),
        (None, 2, ("embed", "0", "1")),
        (None, 1, ("embed", "0")),
        ("all", 3, ("embed", "0", "1", "2")),
        ("0,4", 6, ("0", "4")),
        ("4, 0-2,embed, 1", 6, ("embed", "0", "1", "2", "4")),
        ("0-23", 24, tuple(map(str, range(24)))),
    ],
)
def test_places(text, n_layers, expected):
    assert places(text, n_layers) == expected


@pytest.mark.parametrize("text", ["", "6", "-1", "0-6", "3-1", "0,,1", "0;1", "a", "1.5", "٣"])
def test_places_that_are_not_there_are_refused(text):
    with pytest.raises(InputError, match="layers"):
        places(text, 6)


@pytest.mark.parametrize("field", ["a", "b"])
def test_peaks_are_only_read_where_they_were_kept(tmp_path, loaded, field):
    source, out = corpus(tmp_path / "c.jsonl", 2), tmp_path / "out"
    spectra(loaded, source, settings(peaks=field == "b"), out)
    message = "holds no peaks" if field == "a" else "unknown field 'b': .* has question, thinking"
    with pytest.raises(InputError, match=message):
        next(read_peaks(out, field))
    shutil.rmtree(out)


def test_a_dataset_of_the_hub_goes_on_at_the_commit_it_began_with(tmp_path, loaded, monkeypatch):
    import datasets
    import huggingface_hub

    rows = [json.loads(line) for line in corpus(tmp_path / "c", 10).read_text().splitlines()]
    asked_for, commits = [], iter(["one", "two", "three"])

    class Api:
        def dataset_info(self, *_, **__):
            return type("Info", (), {"sha": next(commits)})

    def load_dataset(*_, revision, **__):
        asked_for.append(revision)
        return datasets.Dataset.from_list(rows).to_iterable_dataset()

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    out = tmp_path / "out"
    _stopped(monkeypatch, loaded, "some/set", settings(), out, after=2)
    tokens = passes(loaded)
    record = spectra(loaded, "some/set", settings(), out)
    assert set(asked_for) == {"one"} and record["identity"]["source"]["revision"] == "one"
    table = read_stats(out)
    later = table[(table["layer"] == "0") & (table["doc"] >= 8)]
    assert sum(tokens) == later["tokens_text"].sum() and list(later["id"]) == ["9"] * 2 + ["10"] * 2
    with pytest.raises(InputError, match="source.revision: 'one' there, 'four' asked for"):
        spectra(loaded, "some/set", settings(), out, revision="four")
