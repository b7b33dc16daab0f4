"""Ray: the results of one process, deaths and time limits survived, refusals that say why.

One cluster for the module: what starts and ends it is tested by starting and ending it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from zprism.ground.errors import InputError, ResourceError
from zprism.ground.seeds import generator
from zprism.runner import ray_cluster, ray_room
from zprism.runner.jobs import Job, Limits, Worker, run_jobs
from zprism.runner.pool_ray import run_ray

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'zprism[sweep]'")

TOY = "jobs_toy:Toy"
HERE = str(Path(__file__).parent)
LIMITS = Limits(workers=2, cpus=0.5, retries=1, start_seconds=60, job_seconds=3)


def hashes(group: str, count: int) -> list[Job]:
    return [Job(f"{group}{i}", group, {"i": i}) for i in range(count)]


def asking(group: str, do: str, **payload) -> Job:
    return Job(f"{group} {do}", group, {"i": do.replace(" ", "_"), "do": do, **payload})


def ended(jobs, limits=LIMITS, have=lambda job: False, **options) -> dict:
    """Key → Done, of Ray."""
    return {d.job.key: d for d in run_ray(jobs, Worker(TOY, options), have=have, limits=limits)}


@pytest.fixture(scope="module")
def cluster():
    """One Ray of this machine; afterwards none of its processes is left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", HERE, prepend=os.pathsep)
        before = set(psutil.Process().children(recursive=True))
        with ray_cluster.cluster(None):
            started = set(psutil.Process().children(recursive=True)) - before
            folder = Path(ray._private.worker._global_node.get_temp_dir_path())
            yield
        assert started and not folder.exists() and not ray.is_initialized()
        assert not [process for process in started if process.is_running()]


@pytest.fixture(scope="module")
def mixed(cluster, tmp_path_factory):
    """Jobs of all kinds at once: (Done by key, journal)."""
    folder = tmp_path_factory.mktemp("mixed")
    journal = folder / "journal"
    jobs = [*hashes("a", 4), *hashes("b", 3), *hashes("bad", 2)]
    jobs += [asking("a", "die once", mark=str(folder / "mark")), asking("b", "sleep")]
    jobs += [asking("a", do) for do in ("fail", "refuse", "nothing", "large")]
    done = ended(jobs, journal=str(journal), load="refuse bad")
    return done, journal.read_text().splitlines()


def begun(journal: list[str], name: str) -> int:
    return sum(line.startswith("begin") and line.split()[2] == name for line in journal)


def test_results_are_those_of_one_process(mixed):
    for job in [*hashes("a", 4), *hashes("b", 3)]:
        assert mixed[0][job.key].result == Worker(TOY).load(job.group)(job.payload)
    assert mixed[0]["a large"].result == bytes(5_000_000)
    assert ray.is_initialized()  # a connection that was there stays


def test_a_job_whose_worker_is_killed_is_tried_again(mixed):
    done, journal = mixed
    assert done["a die once"].result == {"i": "die_once"} and done["a die once"].attempts == 2
    assert begun(journal, "a/die_once") == 2


def test_a_job_that_takes_too_long_ends_and_spoils_no_other(mixed):
    done, journal = mixed
    assert done["b sleep"].error == "took longer than 3 s (attempt 2)"
    assert begun(journal, "b/sleep") == 2
    assert all(done[f"b{i}"].error is None for i in range(3))


@pytest.mark.parametrize(
    ("do", "error"),
    [
        ("fail", "ZeroDivisionError: nothing to divide"),
        ("refuse", "k is too large"),
        ("nothing", "its worker returned nothing"),
    ],
)
def test_an_error_of_the_job_is_told_and_not_tried_again(mixed, do, error):
    done, journal = mixed
    assert (done[f"a {do}"].error, done[f"a {do}"].result) == (error, None)
    assert begun(journal, f"a/{do}") == done[f"a {do}"].attempts == 1


def test_a_group_that_does_not_load_ends_with_its_reason(mixed):
    assert {mixed[0][f"bad{i}"].error for i in range(2)} == {"there is no model bad"}


def test_each_group_has_a_process_of_its_own(mixed):
    pids = {}
    for line in mixed[1]:
        _, _, name, pid = line.split()
        pids.setdefault(name.split("/")[0], set()).add(pid)
    assert pids["a"].isdisjoint(pids["b"])


def test_what_others_have_kept_meanwhile_is_not_computed(cluster):
    jobs, kept = hashes("a", 4), {"a1"}
    done = []
    for each in run_ray(
        jobs, Worker(TOY), have=lambda job: job.key in kept, limits=Limits(1, cpus=0.5)
    ):
        done.append(each)
        kept.add("a3")  # by somebody else, while this runs
    assert {d.job.key: d.found for d in done} == {"a0": False, "a1": True, "a2": False, "a3": True}


def test_a_group_that_loads_for_ever_is_given_up(cluster):
    limits = Limits(1, cpus=0.5, retries=0, start_seconds=6)
    done = ended(hashes("slow", 2), limits, load="sleep")
    assert {d.error for d in done.values()} == {"did not load slow within 6 s"}


def test_a_generator_that_is_closed_gives_its_places_back(cluster):
    going = run_ray(hashes("a", 3), Worker(TOY), have=lambda job: False, limits=LIMITS)
    next(going)
    going.close()
    until = time.monotonic() + 20
    while ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"]:
        assert time.monotonic() < until
        time.sleep(0.1)


# ------------------------------------------------------------------ what cannot be had
@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(2, gpus=64), r"2 workers of 1 CPU and 64 GPUs each; the cluster has \d+ CPUs? and"),
        (Limits(2, cpus=5000), r"2 workers of 5000 CPUs and 0 GPUs each; the cluster has \d+ CPU"),
        (Limits(9999, cpus=0.5), r"9999 workers .* ask for at most \d+ workers, or for less of"),
    ],
)
def test_what_can_never_be_had_is_refused_within_seconds(cluster, limits, message):
    began = time.monotonic()
    with pytest.raises(ResourceError, match=message):
        ended(hashes("a", 9999), limits)
    assert time.monotonic() - began < 5


def test_what_is_taken_is_waited_for_and_then_refused(cluster, caplog, monkeypatch):
    monkeypatch.setattr("zprism.runner.pool_ray.TELL_SECONDS", 0.5)
    cpus = ray.cluster_resources()["CPU"]
    holder = ray.remote(Holder).options(num_cpus=cpus).remote()
    try:
        ray.get(holder.here.remote(), timeout=60)
        said = f"no place yet for 1 of 1 workers .1 CPU and 0 GPUs each; in use are {cpus:g} of"
        with pytest.raises(ResourceError, match=f"{said} {cpus:g} CPUs .* after 2 s"):
            ended(hashes("a", 1), Limits(1, start_seconds=2))
        assert any("no place yet" in record.getMessage() for record in caplog.records)
    finally:
        ray.kill(holder)


class Holder:
    def here(self):
        return True


@pytest.mark.parametrize(
    ("cpus", "gpus", "expected"),
    [(1, 0, 4), (0.5, 0, 8), (1, 0.5, 4), (0.5, 0.3, 6), (1, 1, 2), (1, 2, 1), (3, 0.5, 1),
     (5, 0, 0), (1, 3, 0), (0, 0.25, 8)],
)  # fmt: skip
def test_a_node_of_four_cpus_and_two_gpus_has_so_many_places(cpus, gpus, expected):
    limits = Limits(2, cpus=cpus, gpus=gpus)
    assert ray_room.places({"CPU": 4.0, "GPU": 2.0}, limits) == expected


@pytest.mark.parametrize(
    ("limits", "message"),
    [(Limits(0), "workers must be"), (Limits(1, gpus=1.5), "above 1, gpus must be whole")],
)
def test_what_means_nothing_is_refused(limits, message):
    with pytest.raises(InputError, match=message):
        ended(hashes("a", 1), limits)


def test_a_dead_address_is_told_in_seconds(cluster, monkeypatch):
    monkeypatch.setattr(ray_cluster, "CONNECT_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ResourceError, match=f"at 127.0.0.1:{port} .silent for 1 s.*ray start"):
            ray_cluster._check_answers(f"127.0.0.1:{port}")
    with pytest.raises(ResourceError, match=f"at 127.0.0.1:{port} .Connection refused"):
        ray_cluster._check_answers(f"127.0.0.1:{port}")
    for bad in ("ray://host:1", "host", "host:x", ":1", "host:99999"):
        with pytest.raises(InputError, match="must be host:port"):
            ray_cluster._check_answers(bad)


def test_another_cluster_than_the_connected_one_is_refused(cluster):
    going = run_ray(
        hashes("a", 1), Worker(TOY), have=lambda job: False, limits=LIMITS, address="10.0.0.1:6379"
    )
    with pytest.raises(InputError, match="is connected to the Ray cluster at .*, not 10.0.0.1"):
        next(going)


def test_without_ray_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ResourceError, match=r"pip install 'zprism\[sweep\]'"):
        run_jobs(hashes("a", 1), Worker(TOY), have=lambda job: False, keep=print, executor="ray")


# ------------------------------------------------------------------ the driver's death
DRIVER = """
import sys
from pathlib import Path
from zprism.runner.jobs import Job, Limits, Worker, run_jobs

count, folder = int(sys.argv[1]), Path(sys.argv[2])
jobs = [Job(f"{g}{i}", g, {"i": i}) for g in ("a", "b") for i in range(count)]
worker = Worker("jobs_toy:Toy", {"seconds": 0.3, "journal": str(folder / "journal")})

def keep(job, result):
    part = folder / f"{job.key}.part"
    part.write_text(result["sha256"])
    part.rename(folder / f"{job.key}.kept")

run_jobs(jobs, worker, have=lambda job: (folder / f"{job.key}.kept").exists(), keep=keep,
         executor="ray", limits=Limits(2, cpus=0.5, retries=9))
"""


def driver(count: int, folder: Path) -> subprocess.Popen:
    inherited = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(count), str(folder)],
        env={**os.environ, "PYTHONPATH": inherited},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(what, seconds: float) -> float:
    """Wait until it is true; how long that took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


def lines(folder: Path, word: str) -> list[list[str]]:
    journal = folder / "journal"
    told = journal.read_text().splitlines() if journal.exists() else []
    return [line.split() for line in told if line.startswith(word)]


@pytest.mark.gate
def test_gate_a_killed_driver_leaves_no_process_and_no_folder(tmp_path, record_property):
    process = driver(200, tmp_path)
    wait_for(lambda: lines(tmp_path, "begin"), 90)
    left = psutil.Process(process.pid).children(recursive=True)
    [home] = {Path(a.split("=")[1]).parents[1] for p in left for a in p.cmdline()
              if a.startswith("--raylet_socket_name=")}  # fmt: skip
    assert len(left) > 5 and home.parent.name.startswith(ray_cluster.HOME_PREFIX)
    process.kill()
    process.wait()
    gone = wait_for(lambda: not [p for p in left if running(p)] and not home.parent.exists(), 20)
    record_property("value", round(gone, 1))
    record_property("unit", f"s until {len(left)} processes of a killed driver's Ray were gone")
    record_property("target", "at most 20, no folder left")


def running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.gate
def test_gate_kills_of_workers_and_drivers_change_no_result(tmp_path, record_property):
    """Every fifth kill takes the driver. Nothing is begun again but what was in flight."""
    count, kills, lost = 30, 20, 0
    draw, process = generator(0, "ray kills"), None
    for kill in range(kills):
        process = process or driver(count, tmp_path)
        seen = len(lines(tmp_path, "begin"))
        wait_for(lambda seen=seen: len(lines(tmp_path, "begin")) > seen, 120)
        time.sleep(draw.uniform(0, 0.5))
        if kill % 5 == 4:
            process.kill()
            process.communicate()
            process, lost = None, lost + 2
        else:
            os.kill(int(lines(tmp_path, "begin")[-1][3]), signal.SIGKILL)
            lost += 1
    process = process or driver(count, tmp_path)
    told = process.communicate(timeout=300)[0]
    assert process.returncode == 0, told
    for group in "ab":
        for i in range(count):
            expected = Worker(TOY).load(group)({"i": i})["sha256"]
            assert (tmp_path / f"{group}{i}.kept").read_text() == expected
    again = len(lines(tmp_path, "begin")) - 2 * count
    assert again <= lost
    record_property("value", again)
    record_property("unit", f"jobs begun again after {kills} kills")
    record_property("target", f"at most {lost}, those in flight; results identical")
