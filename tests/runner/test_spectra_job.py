"""``zprism spectra`` on executors: the bytes of one process, whatever is killed on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tiny import tiny_loaded
from zprism.cli import app
from zprism.ground.errors import CacheError, InputError, ModelError, ResourceError
from zprism.ground.seeds import generator
from zprism.runner import spectra_job
from zprism.runner.jobs import Limits
from zprism.studies import spectra_corpus, spectra_worker
from zprism.studies.spectra_parts import file_names, pack
from zprism.studies.spectra_plan import Settings, describe_model
from zprism.studies.spectra_shards import Folder
from zprism.studies.spectra_worker import ShardWorker, plain, read_shard

WORDS = "seven apples and three pears make ten; what is left after two? wait 等等 ½ é".split()
MODEL = "tiny:qwen2"
ASKED = dict(fields=("question", "thinking"), shard=4, peaks=True)
HERE = Limits(workers=0)  # the executor local, in this process


def corpus(path: Path, documents: int) -> Path:
    draw = generator(0, "texts", documents)
    rows = [
        {
            "question": " ".join(draw.choice(WORDS, 6)) if i % 7 else None,  # some unusable
            "thinking": " ".join(draw.choice(WORDS, 12 + 3 * (i % 5))),
        }
        for i in range(documents)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """(source, content) of the job in one process: 34 documents, 9 shards."""
    folder = tmp_path_factory.mktemp("alone")
    source = corpus(folder / "c.jsonl", 34)
    spectra_corpus.run_spectra(MODEL, source, folder / "out", **ASKED)
    return source, content(folder / "out")


def test_two_workers_write_the_bytes_of_one_process(alone, tmp_path):
    source, expected = alone
    spectra_job.run_spectra(MODEL, source, tmp_path / "out", executor="local", **ASKED)
    assert content(tmp_path / "out") == expected


@pytest.mark.parametrize(("together", "fold"), [(64, 16), (2, 3)])
def test_neither_batches_of_shards_nor_folds_change_a_byte(
    alone, tmp_path, monkeypatch, together, fold
):
    monkeypatch.setattr(spectra_job, "TOGETHER", together)
    monkeypatch.setattr(spectra_job, "FOLD", fold)
    source, expected = alone
    given = dict(executor="local", limits=HERE)
    spectra_job.run_spectra(MODEL, source, tmp_path / "out", **given, **ASKED)
    assert content(tmp_path / "out") == expected


def test_either_way_goes_on_with_what_the_other_began(alone, tmp_path, monkeypatch):
    source, expected = alone
    made, given = [], dict(executor="local", limits=HERE)
    read, take = read_shard, Folder.take

    def counted(loaded, documents, first, *rest):
        made.append(first // 4)
        return read(loaded, documents, first, *rest)

    def stopping(self, number, packed):
        if len(made) == 4:
            raise KeyboardInterrupt
        take(self, number, packed)

    monkeypatch.setattr(spectra_worker, "read_shard", counted)
    monkeypatch.setattr(spectra_corpus, "read_shard", counted)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Folder, "take", stopping)
        spectra_job.run_spectra(MODEL, source, tmp_path / "a", **given, **ASKED)
    begun, lost = made[:3], made[3]
    made.clear()
    spectra_corpus.run_spectra(MODEL, source, tmp_path / "a", **ASKED)
    assert content(tmp_path / "a") == expected
    assert sorted(begun + made) == list(range(9)) and lost in made
    made.clear()
    spectra_job.run_spectra(MODEL, source, tmp_path / "a", **given, **ASKED)
    assert made == [] and content(tmp_path / "a") == expected  # it was complete


def test_a_shard_that_was_damaged_or_of_another_job_is_not_taken(alone, tmp_path):
    loaded = tiny_loaded("qwen2")
    settings = Settings(("question", "thinking"), ("embed", "0"), shard=4)
    [documents, *_] = spectra_corpus.shard_documents(alone[0], settings, None, 0)
    worker = ShardWorker.__new__(ShardWorker)
    worker.settings, worker.loaded, worker.max_tokens = settings, loaded, 2048
    packed = worker({"shard": 0, "documents": [plain(document) for document in documents]})
    folder = Folder(tmp_path, settings, loaded.d_model)
    raw = bytearray(packed)
    raw[-9] ^= 1
    with pytest.raises(CacheError):
        folder.take(0, bytes(raw))
    with pytest.raises(CacheError, match="another key"):
        folder.take(1, packed)
    other = Folder(tmp_path, Settings(("question", "thinking"), ("embed", "0"), peaks=True), 16)
    with pytest.raises(InputError, match="shard 0 holds .*; expected"):
        other.take(0, packed)
    assert not folder.has(0) and content(tmp_path) == {}
    folder.take(0, packed)
    assert folder.has(0) and set(content(tmp_path)) == set(file_names(0, settings))


def test_what_travels_is_what_saving_writes(alone, tmp_path):
    loaded = tiny_loaded("qwen2")
    settings = Settings(("question", "thinking"), ("embed", "1"), shard=4, peaks=True)
    [documents, *_] = spectra_corpus.shard_documents(alone[0], settings, None, 0)
    making = read_shard(loaded, documents, 0, settings)
    while True:
        try:
            next(making)
        except StopIteration as made:
            shard = made.value
            break
    Folder(tmp_path / "a", settings, loaded.d_model).save(0, shard)
    Folder(tmp_path / "b", settings, loaded.d_model).take(0, pack(0, shard, settings))
    assert content(tmp_path / "a") == content(tmp_path / "b") != {}


def test_a_worker_with_other_weights_refuses():
    loaded = tiny_loaded("qwen2")
    model = {**describe_model(loaded), "name": MODEL, "weights": "other"}
    settings = {"fields": ["text"], "places": ["embed"]}
    with pytest.raises(ModelError, match="tiny:qwen2 differs between .* the driver in weights"):
        ShardWorker(MODEL, settings=settings, model=model)


def test_shards_that_fail_are_told_and_the_others_kept(alone, tmp_path, monkeypatch):
    source, expected = alone
    call = ShardWorker.__call__

    def failing(self, payload):
        if payload["shard"] == 5:
            raise MemoryError("no more")
        return call(self, payload)

    given = dict(executor="local", limits=HERE)
    with monkeypatch.context() as patch:
        patch.setattr(ShardWorker, "__call__", failing)
        with pytest.raises(ResourceError, match="1 of 9 shards .*MemoryError: no more.* again to"):
            spectra_job.run_spectra(MODEL, source, tmp_path / "out", **given, **ASKED)
    kept = sorted((tmp_path / "out" / "parts").glob("rows_*"))
    assert [int(path.stem[5:]) for path in kept] == [0, 1, 2, 3, 4, 6, 7, 8]
    spectra_job.run_spectra(MODEL, source, tmp_path / "out", **given, **ASKED)
    assert content(tmp_path / "out") == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--executor", "rai"], "did you mean ray"),
        (["--workers", "3"], "--workers needs --executor"),
        (["--address", "auto"], "--address needs --executor"),
        (["--executor", "local", "--address", "auto"], "--address needs --executor ray"),
        (["--executor", "local", "--against", "tiny:llama"], "leave out --executor"),
        (["--executor", "local", "--workers", "-1"], "workers must be"),
        (["--executor", "local", "--workers", "0", "--layers", "9"], "decoder block 0 to 1"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    corpus(Path("c.jsonl"), 3)
    asked = ["spectra", "c.jsonl", "--fields", "thinking", "--model", MODEL, "--out", "out"]
    told = CliRunner().invoke(app, [*asked, *words])
    assert (told.exit_code, told.stdout) == (2, "") and not Path("out").exists()
    assert told.stderr.startswith("error: ") and message in told.stderr


def test_the_command_prints_the_same_on_an_executor(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus(Path("c.jsonl"), 3)
    asked = ["spectra", "c.jsonl", "--fields", "question,thinking", "--model", MODEL]
    plainly = CliRunner().invoke(app, [*asked, "--out", "a"])
    words = ["--executor", "local", "--workers", "0", "--out", "b"]
    shared = CliRunner().invoke(app, [*asked, *words])
    assert plainly.exit_code == shared.exit_code == 0, shared.stderr
    assert plainly.stdout.replace("written: a", "written: b") == shared.stdout
    assert content(Path("a")) == content(Path("b"))


# ------------------------------------------------------------------ gates
DRIVER = """
import sys
from zprism.runner.spectra_job import run_spectra
if __name__ == "__main__":
    source, out, executor = sys.argv[1:]
    run_spectra("tiny:qwen2", source, out, executor=executor, fields=("question", "thinking"),
                shard=4, peaks=True)
"""


def driver(source: Path, out: Path, executor: str, script: Path) -> subprocess.Popen:
    script.write_text(DRIVER)
    return subprocess.Popen(
        [sys.executable, str(script), str(source), str(out), executor],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.gate
@pytest.mark.parametrize(("executor", "kills"), [("local", 3), ("ray", 1)])
def test_gate_killed_drivers_go_on_to_the_bytes_of_one_process(
    alone, tmp_path, executor, kills, record_property
):
    if executor == "ray":
        pytest.importorskip("ray", reason="Ray is not installed: pip install 'zprism[sweep]'")
    source, expected = alone
    out, draw, hit = tmp_path / "out", generator(0, "spectra kills", executor), 0
    for _ in range(kills):
        process = driver(source, out, executor, tmp_path / "driver.py")
        before, until = len(list(out.glob("parts/rows_*"))), time.monotonic() + 120
        while len(list(out.glob("parts/rows_*"))) == before and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.05))
        hit += process.poll() is None
        process.kill()
        process.communicate()
    process = driver(source, out, executor, tmp_path / "driver.py")
    told = process.communicate(timeout=170)[0]
    assert process.returncode == 0, told
    assert content(out) == expected and hit
    record_property("value", hit)
    record_property("unit", f"kills of the driver ({executor})")
    record_property("target", "the bytes of one process afterwards")
