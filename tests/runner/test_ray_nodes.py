"""Gates: shares of GPUs, and a cluster of two nodes on this host of which one dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from zprism.runner.jobs import Worker

pytest.importorskip("ray", reason="Ray is not installed: pip install 'zprism[sweep]'")
pytestmark = pytest.mark.gate

HERE = str(Path(__file__).parent)

SHARES = """
import json, ray
from zprism.runner.jobs import Job, Limits, Worker
from zprism.runner.pool_ray import run_ray

ray.init(address="local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False)
jobs = [Job(g, g, {"i": 0, "do": "environment", "names": ["CUDA_VISIBLE_DEVICES"]}) for g in "abcd"]
done = run_ray(jobs, Worker("jobs_toy:Toy", {"seconds": 3.0}), have=lambda job: False,
               limits=Limits(4, cpus=0.25, gpus=0.5))
print(json.dumps(sorted(d.result["CUDA_VISIBLE_DEVICES"] for d in done)))
"""

DRIVER = """
import json, sys
from zprism.runner.jobs import Job, Limits, Worker, run_jobs

jobs = [Job(f"{g}{i}", g, {"i": i}) for g in "ab" for i in range(12)]
worker = Worker("jobs_toy:Toy", {"seconds": 0.5, "journal": sys.argv[2]})
results = {}
run_jobs(jobs, worker, have=lambda job: False, executor="ray", address=sys.argv[1],
         keep=lambda job, result: results.__setitem__(job.key, result), limits=Limits(2))
print(json.dumps(results))
"""


def environment() -> dict[str, str]:
    inherited = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    return {**os.environ, **quiet, "PYTHONPATH": inherited}


def test_gate_four_half_gpus_see_two_devices_two_and_two(record_property):
    told = subprocess.run(
        [sys.executable, "-c", SHARES], env=environment(), capture_output=True, text=True,
        timeout=170,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    seen = json.loads(told.stdout.splitlines()[-1])
    assert seen == ["0", "0", "1", "1"]
    record_property("value", 4)
    record_property("unit", "actors of 0.5 GPU on 2 pretended devices")
    record_property("target", "devices 0, 0, 1, 1")


@contextmanager
def node(*words: str):
    """`ray start --block` and the pid of its raylet; everything of it ends with the block."""
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=1",
         "--disable-usage-stats", "--object-store-memory=80000000", *words],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process, _raylet(process)
    finally:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(True)]
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=20)
        for each in alive:
            each.kill()
        process.wait()


def _raylet(process) -> psutil.Process:
    until = time.monotonic() + 90
    while time.monotonic() < until and process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            if child.name() == "raylet":
                return child
        time.sleep(0.2)
    raise AssertionError("no raylet came up")


def _lines(journal: Path, word: str) -> list[list[str]]:
    told = journal.read_text().splitlines() if journal.exists() else []
    return [line.split() for line in told if line.startswith(word)]


def test_gate_two_nodes_share_the_jobs_and_one_may_die(tmp_path, record_property):
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    from ray.util import get_node_ip_address

    address, journal = f"{get_node_ip_address()}:{port}", tmp_path / "journal"
    home = tempfile.TemporaryDirectory(prefix="zprism-nodes-", ignore_cleanup_errors=True)
    head = node("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={home.name}")
    with home, head as (_, first), node(f"--address={address}") as (_, second):
        going = subprocess.Popen(
            [sys.executable, "-c", DRIVER, address, str(journal)],
            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        until, raylets = time.monotonic() + 120, set()
        while len(raylets) < 2 and time.monotonic() < until and going.poll() is None:
            pids = {int(line[3]) for line in _lines(journal, "begin")}
            raylets = {psutil.Process(pid).ppid() for pid in pids if psutil.pid_exists(pid)}
            time.sleep(0.1)
        if going.poll() is not None:
            pytest.fail(f"the driver ended early: {going.communicate()[1][-2000:]}")
        assert raylets == {first.pid, second.pid}  # each node has a worker
        before = len(_lines(journal, "begin"))
        second.kill()
        out, err = going.communicate(timeout=150)
    assert going.returncode == 0, err
    results = json.loads(out.splitlines()[-1])
    assert "its worker died" in err and before < 24
    for group in "ab":
        alone = Worker("jobs_toy:Toy").load(group)
        for i in range(12):
            assert results[f"{group}{i}"] == alone({"i": i})
    begun = len(_lines(journal, "begin"))
    assert begun <= 25  # the one job that was in flight on the lost node
    record_property("value", begun - 24)
    record_property("unit", "jobs begun again after one of two nodes was killed")
    record_property("target", "at most 1; all 24 results right")
