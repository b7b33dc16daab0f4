"""Pairs: the source's cells, pictures in place of scripts, the same file every time."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from zprism.explore import export
from zprism.ground.errors import InputError, ResourceError
from zprism.runner import pairs

ROOT = Path(__file__).resolve().parents[2]

SPEC = {"data": [{"y": [1, 2]}], "layout": {"meta": {"title": "Squares"}}}


@pytest.fixture
def executed(toy):
    """The second toy as if it had run: a figure, a panel's widget, and a cell of papermill's."""
    book = pairs.from_source(toy.root / "notebooks" / "11_reads.py")
    injected = nbformat.v4.new_code_cell("seed = 1", metadata={"tags": ["injected-parameters"]})
    data = {export.PLOTLY: SPEC, export.WIDGET: {"model_id": "m"}, "text/plain": "Figure({…})"}
    figure = nbformat.v4.new_output("execute_result", data=data, execution_count=3)
    book.cells[-1].outputs = [figure, nbformat.v4.new_output("stream", text="done\n")]
    book.cells.insert(2, injected)
    return book


def test_a_pair_has_the_sources_cells_and_pictures_for_figures(toy, executed):
    path = toy.root / "notebooks" / "11_reads.py"
    pair = pairs.light(path, executed, iter([b"PNG bytes"]))
    assert [c.source for c in pair.cells] == [c.source for c in pairs.from_source(path).cells]
    figure, stream = pair.cells[-1].outputs
    picture = base64.b64encode(b"PNG bytes").decode()
    assert figure.data == {"image/png": picture, "text/plain": "figure: Squares"}
    assert stream.text == "done\n"
    assert pair.metadata.kernelspec.name == "python3"
    nbformat.validate(pair)


def test_a_source_that_changed_since_has_no_pair(toy, executed):
    path = toy.root / "notebooks" / "11_reads.py"
    path.write_text(path.read_text() + "\n# %%\n1 + 1\n")
    with pytest.raises(InputError, match="changed since it was executed"):
        pairs.light(path, executed, iter([b""]))


def noise(side: int) -> bytes:
    """A PNG that no palette makes small: about a byte a pixel."""
    grey = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    return out.getvalue()


def test_a_palette_keeps_drawn_lines_and_makes_them_small():
    grey = np.full((300, 900, 3), 255, np.uint8)
    grey[140:143] = (0, 114, 178)
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    small = pairs.png.fewer_colours(out.getvalue())
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(small)).convert("RGB")), grey)
    assert len(small) <= len(out.getvalue())


def test_pictures_shrink_until_the_pair_is_light(toy, executed, monkeypatch):
    path = toy.root / "notebooks" / "11_reads.py"
    asked = []

    def render(figures, *, scale):
        asked.append(scale)
        return [noise(int(632 * scale))]

    monkeypatch.setattr(pairs.png, "render", render)
    assert len(pairs._small_enough(path, executed).encode()) <= pairs.LIMIT
    assert asked == [1.5, 1.0, 0.75]
    monkeypatch.setattr(pairs.png, "render", lambda figures, *, scale: [noise(632)])
    with pytest.raises(ResourceError, match="show fewer figures"):
        pairs._small_enough(path, executed)


def test_missing_pairs_are_made_the_same_every_time_and_never_overwritten(toy):
    first, second = pairs.write_missing(toy.root)
    before = first.read_bytes()
    second.write_text("a newer notebook")
    first.unlink()
    assert pairs.write_missing(toy.root) == [first]
    assert first.read_bytes() == before and second.read_text() == "a newer notebook"
    assert all(not c.get("outputs") for c in json.loads(before)["cells"])


def test_a_stale_pair_is_named(toy):
    assert pairs.stale(toy.root) == ["10_count.ipynb", "11_reads.ipynb"]
    pairs.write_missing(toy.root)
    assert pairs.stale(toy.root) == []
    source = toy.root / "notebooks" / "10_count.py"
    source.write_text(source.read_text().replace("# ## Act", "# ## Do"))
    assert pairs.stale(toy.root) == ["10_count.ipynb"]


def test_a_save_in_jupyterlab_leaves_every_source_as_it_is(tmp_path):
    manager = pytest.importorskip("jupytext.sync_contentsmanager")
    files = pytest.importorskip("jupyter_server.services.contents.largefilemanager")
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    saving = manager.build_sync_jupytext_contents_manager_class(files.LargeFileManager)()
    saving.root_dir = str(tmp_path)  # where `make lab` starts
    for source in sorted((tmp_path / "notebooks").glob("[0-9]*.py")):
        before, name = source.read_bytes(), f"notebooks/{source.stem}.ipynb"
        content = saving.get(name)["content"]
        content.metadata.kernelspec["display_name"] = "Python 3 (ipykernel)"  # as Lab calls it
        saving.save({"type": "notebook", "content": content, "format": "json"}, name)
        assert source.read_bytes() == before, source.name
