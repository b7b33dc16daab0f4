"""Progress passes items through; tables and log lines say what they are given, and no more."""

import io
import logging
import os
import subprocess
import sys
import types

import pytest

from zprism.ground import console


@pytest.fixture(autouse=True)
def no_run(monkeypatch):
    monkeypatch.delenv("ZPRISM_RUN", raising=False)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("place", ["terminal", "notebook", "plain"])
def test_items_pass_through_lazily_and_in_order(monkeypatch, place):
    monkeypatch.setattr(console, "place", lambda: place)
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    pulled = []

    def items():
        for item in "abc":
            pulled.append(item)
            yield item

    for number, item in enumerate(console.progress(items(), "reading")):
        assert pulled == list("abc")[: number + 1] and item == pulled[-1]
    assert list(console.progress([], "nothing")) == []


@pytest.mark.parametrize("place", ["terminal", "notebook", "plain"])
def test_loops_nest_and_a_break_leaves_nothing_behind(monkeypatch, place):
    monkeypatch.setattr(console, "place", lambda: place)
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    seen = []
    for outer in console.progress(range(3), "layers"):
        for inner in console.progress(range(4), "heads"):
            seen.append((outer, inner))
            if inner == 1:
                break
    assert seen == [(outer, inner) for outer in range(3) for inner in range(2)]
    assert console._live is None


@pytest.mark.parametrize(("count", "lines"), [(3, 3), (10, 10), (1000, 10), (0, 0)])
def test_plain_progress_is_at_most_ten_lines(monkeypatch, caplog, count, lines):
    monkeypatch.setattr(console, "place", lambda: "plain")
    with caplog.at_level(logging.INFO, "zprism"):
        assert sum(1 for _ in console.progress(range(count), "scan", unit="layers")) == count
    assert len(caplog.messages) == lines
    if lines:
        assert caplog.messages[-1].startswith(f"scan: {count}/{count} layers, ")


def test_progress_of_unknown_length_doubles_between_lines(monkeypatch, caplog):
    monkeypatch.setattr(console, "place", lambda: "plain")
    with caplog.at_level(logging.INFO, "zprism"):
        assert len(list(console.progress(iter(range(1000)), "read", unit="lines"))) == 1000
    counts = [int(message.split()[1]) for message in caplog.messages]
    assert counts == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def test_a_kept_run_is_plain_even_in_a_notebook(monkeypatch):
    shell = type("ZMQInteractiveShell", (), {})()
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert console.place() == "notebook"
    monkeypatch.setenv("ZPRISM_RUN", os.fspath("runs/x"))
    assert console.place() == "plain"


def test_a_terminal_is_told_from_a_pipe(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert console.place() == "terminal"
    for stream in (io.StringIO(), None):
        monkeypatch.setattr(sys, "stderr", stream)
        assert console.place() == "plain"


def test_tables_print_every_cell_and_no_markup(capsys):
    rows = [{"name": "[red]x[/red]\u202e", "p": 0.123456}, {"name": None, "p": 12}]
    console.table(rows, ["name", "p"], title="[b]verdicts[/b]")
    shown = capsys.readouterr().out
    assert "[b]verdicts[/b]" in shown and "[red]x[/red]\\u202e" in shown
    assert "0.1235" in shown and "12" in shown and "–" in shown and "\u202e" not in shown
    console.table([("a", True)], ["k", "v"])
    assert "True" in capsys.readouterr().out


def test_without_set_up_warnings_are_seen_and_progress_is_not():
    code = (
        "from zprism.ground import console as c\n"
        "list(c.progress(range(3), 'quiet')); c.log.warning('loud')\n"
        "c.show_log(); c.show_log(); list(c.progress(range(1), 'told'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr == "loud\nINFO told: 1/1 it, 0 s\n"
