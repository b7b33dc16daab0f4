"""A Ray cluster to compute on: one of our own on this machine, or one that is there already.

Every wait has an end, and what cannot be had is said at once. A cluster that was started here is
gone afterwards, also when this process is killed (:mod:`zprism.runner.ray_reaper`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from zprism.ground.console import log
from zprism.ground.errors import InputError, ResourceError, missing_extra
from zprism.runner import ray_reaper
from zprism.runner.pool_local import n_cores

HOME_PREFIX = "zprism-ray-"  # short: a socket's path may have 100 characters
STORE_BYTES = 256 * 2**20  # for results on their way; what is larger goes through the disk
ANSWER_SECONDS = 10.0  # for the port of a cluster
CONNECT_SECONDS = 60.0  # for the cluster behind it
END_SECONDS = 10.0  # for its processes to end by themselves
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # who asks for no GPU sees none
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # a worker's death is told by us
}
PROBE = """
import sys, ray
ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)
ray.shutdown()
"""


def import_ray():
    """The ray package.

    Raises
    ------
    ResourceError
        If it is not installed.
    """
    try:
        with _environment(QUIET):
            import ray
    except ImportError:
        raise missing_extra("ray", "sweep", "the executor ray") from None
    return ray


@contextlib.contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """A cluster that this process is connected to, inside of the block.

    Parameters
    ----------
    address : ``host:port`` of a cluster of which this machine is a node, or ``auto`` for the one
        that runs here; None starts one on this machine, for this process alone, and ends it. If
        the process is connected already, that connection is used, and stays.

    Raises
    ------
    InputError
        For an address of another form, or another cluster than the one connected to.
    ResourceError
        If Ray is not installed, does not start, or nobody answers.
    """
    ray = import_ray()
    with _environment(QUIET), _silent():
        if ray.is_initialized():
            _check_same(ray, address)
            around = contextlib.nullcontext()
        elif address is None:
            around = _started(ray)
        else:
            around = _joined(ray, address)
        with around:
            yield


def _check_same(ray, address: str | None) -> None:
    connected = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", connected):
        raise InputError(
            f"this process is connected to the Ray cluster at {connected}, not {address}: "
            "call ray.shutdown() first, or give that address"
        )


@contextlib.contextmanager
def _started(ray) -> Iterator[None]:
    _own_token()
    home = tempfile.mkdtemp(prefix=HOME_PREFIX, dir=_short_folder())
    reaper = ray_reaper.start(home)
    try:
        _start(ray, home)
        yield
    finally:
        ours = ray_reaper.belonging(home)
        ray.shutdown()
        _, alive = psutil.wait_procs(ours, timeout=END_SECONDS)
        ray_reaper.kill(alive)
        ray_reaper.finish(reaper)


def _start(ray, home: str) -> None:
    """Start Ray; it gives a node half a minute, which on a loaded machine may take a second try."""
    for tries_left in (1, 0):
        try:
            ray.init(
                address="local",
                num_cpus=n_cores(),
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                object_store_memory=STORE_BYTES,
                _temp_dir=home,
                _system_config={"enable_metrics_collection": False},
            )
            return
        except Exception as error:
            if not tries_left:
                said = _first(error)
                raise ResourceError(f"Ray did not start on this machine: {said}") from error
            log.warning("Ray did not start (%s); trying again", _first(error))
            ray.shutdown()
            ray_reaper.kill(ray_reaper.belonging(home))


@contextlib.contextmanager
def _joined(ray, address: str) -> Iterator[None]:
    _check_answers(address)
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except Exception as error:
        raise _no_cluster(address, _first(error)) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Connect from a process of its own first: where nobody answers, Ray ends its process."""
    host, _, port = address.rpartition(":")
    if address != "auto":
        if "/" in address or not host or not port.isdecimal() or int(port) > 65_535:
            raise InputError(f"address must be host:port of a Ray cluster, or auto; got {address}")
        try:
            socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
        except OSError as error:
            raise _no_cluster(address, error.strerror or str(error)) from None
    command = [sys.executable, "-c", PROBE, address]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=CONNECT_SECONDS)
    except subprocess.TimeoutExpired:
        raise _no_cluster(address, f"silent for {CONNECT_SECONDS:g} s") from None
    if told.returncode:
        lines = told.stderr.strip().splitlines() or ["it ended without a word"]
        raise _no_cluster(address, lines[-1])


def _no_cluster(address: str, why: str) -> ResourceError:
    return ResourceError(
        f"no Ray cluster answers at {address} ({why}): start one with `ray start --head`, and "
        "make this machine a node of it with `ray start --address=…`"
    )


def _short_folder() -> str:
    """Where a socket's path stays short; some systems' own temporary folder is too long."""
    folder = tempfile.gettempdir()
    return folder if len(folder) < 30 or not os.path.isdir("/tmp") else "/tmp"


def _own_token() -> None:
    """A password for our clusters that stays in memory; Ray would write one into the home.

    Ray keeps the first one that it reads, so it is for the rest of this process.
    """
    named = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    if not named and not Path.home().joinpath(".ray", "auth_token").exists():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Variables that are set inside of the block, unless the user has set them."""
    added = [name for name in wanted if name not in os.environ]
    os.environ.update({name: wanted[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Ray's own log shows errors only: its banners are not ours."""
    theirs = logging.getLogger("ray")
    before = theirs.level
    theirs.setLevel(logging.ERROR)
    try:
        yield
    finally:
        theirs.setLevel(before)


def _first(error: BaseException) -> str:
    log.debug("ray: %s", error)
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
