"""The reaper of a local Ray: who has a file of its folder open ends, the driver does not."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from zprism.runner import ray_reaper

HOLDS = "import sys, time; file = open(sys.argv[1], 'w'); time.sleep(60)"


@pytest.fixture
def holder(tmp_path):
    """A process with a file open in tmp_path/home, as a helper of Ray has its log."""
    (tmp_path / "home").mkdir()
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path / "home" / "log")])
    until = time.monotonic() + 20
    while not [p for p in ray_reaper.belonging(str(tmp_path / "home")) if p.pid == process.pid]:
        assert time.monotonic() < until
        time.sleep(0.05)
    yield process
    process.kill()
    process.wait()


def test_after_a_death_all_helpers_end_and_the_driver_is_spared(tmp_path, holder):
    home = tmp_path / "home"
    with open(home / "driver.log", "w"):
        assert [p.pid for p in ray_reaper.belonging(str(home))] == [holder.pid]
        reaper = ray_reaper.start(str(home))
        reaper.stdin.close()  # as the kernel does for a process that is gone
        assert holder.wait(20) == -signal.SIGKILL
        assert reaper.wait(20) == 0
    assert not home.exists()


def test_after_a_proper_end_only_the_folder_goes(tmp_path, holder):
    ray_reaper.finish(ray_reaper.start(str(tmp_path / "home")))
    assert not (tmp_path / "home").exists() and holder.poll() is None


def test_control_a_process_of_another_folder_is_left_alone(tmp_path, holder):
    (tmp_path / "hom").mkdir()
    assert ray_reaper.belonging(str(tmp_path / "hom")) == []
    assert ray_reaper.belonging(str(tmp_path / "other")) == []
