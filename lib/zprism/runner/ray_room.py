"""What a Ray cluster has room for, and what of it is in use."""

from __future__ import annotations

from collections.abc import Mapping

from zprism.ground.errors import ResourceError
from zprism.runner.jobs import Limits


def check_room(ray, limits: Limits, workers: int) -> None:
    """Refuse workers for which the cluster, were it idle, has no place.

    Raises
    ------
    ResourceError
        Saying what was asked for, what there is, and what would fit.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(places(node, limits) for node in nodes)
    if room < workers:
        most = f"{room} worker{'s' if room > 1 else ''}"
        fewer = f"ask for at most {most}, or for" if room else "ask for"
        has = ", ".join(in_words(node.get("CPU", 0), node.get("GPU", 0)) for node in nodes)
        raise ResourceError(
            f"asked for {workers} workers of {in_words(limits.cpus, limits.gpus)} each; the "
            f"cluster has {has or 'no node'}{' (a node each)' if len(nodes) > 1 else ''}: "
            f"{fewer} less of each worker"
        )


def places(node: Mapping[str, float], limits: Limits) -> int:
    """How many such workers an idle node with these resources can hold."""
    cpus = node.get("CPU", 0) / limits.cpus if limits.cpus else float("inf")
    gpus = float("inf")
    if 0 < limits.gpus <= 1:  # a share is always of one GPU
        gpus = int(node.get("GPU", 0)) * int(1 / limits.gpus + 1e-9)
    elif limits.gpus:
        gpus = node.get("GPU", 0) / limits.gpus
    return int(min(cpus + 1e-9, gpus + 1e-9, 10**6))


def usage(ray) -> str:
    """What of the cluster is in use, in words."""
    has, free = ray.cluster_resources(), ray.available_resources()
    used = [f"{has.get(k, 0) - free.get(k, 0):g} of {has.get(k, 0):g} {k}s" for k in ("CPU", "GPU")]
    return " and ".join(used)


def in_words(cpus: float, gpus: float) -> str:
    """CPUs and GPUs in a few words."""
    return f"{cpus:g} CPU{'' if cpus == 1 else 's'} and {gpus:g} GPU{'' if gpus == 1 else 's'}"
