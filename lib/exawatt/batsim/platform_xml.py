"""Platforms to and from SimGrid platform XML."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import quoteattr

from exawatt.batsim.files import write_text
from exawatt.batsim.hosts import MASTER_HOST, Host, Hosts, SleepState, read_hosts
from exawatt.facility import Pue
from exawatt.platform import Partition, Platform

_COMPUTE_FLOPS = 1e8
_ASLEEP_FLOPS = 1e-3
_INSTANT_FLOPS = 1e18
_PROPERTY = "exawatt"


def platform_of(hosts: Hosts, name: str = "platform") -> Platform:
    """Platform of hosts: each run of equal hosts is a partition.

    What a file written by :func:`write_platform` says of the platform is taken from there, after
    a check that its hosts still say the same. Elsewhere a host is a node with one processor a
    core; hosts without sleep states get a sleep that saves nothing and takes no time.
    """
    stored = hosts[0].zone_properties.get(_PROPERTY)
    if stored is not None:
        platform = _stored_platform(stored)
        expected = [(host.speeds_flops, host.watts) for host in _hosts_of(platform)]
        if [(host.speeds_flops, host.watts) for host in hosts] != expected:
            raise ValueError(
                "the hosts are not those of the zone's property 'exawatt'; remove that property "
                "for a platform made from the hosts alone."
            )
        return platform
    kinds = [
        (kind, len(list(group)))
        for kind, group in groupby(hosts, lambda h: (h.speeds_flops, h.watts, h.cores, h.sleeps))
    ]
    partitions = tuple(
        _partition(
            Host("", speeds, watts, cores, sleeps=sleeps), count, -1 if len(kinds) == 1 else i
        )
        for i, ((speeds, watts, cores, sleeps), count) in enumerate(kinds, start=1)
    )
    return Platform(partitions, name=name)


def _stored_platform(text: str) -> Platform:
    try:
        content = json.loads(text)
        partitions = tuple(Partition(**one) for one in content["partitions"])
        pue = content["pue"]
        pue = Pue(**pue) if isinstance(pue, dict) else pue
        return Platform(partitions, pue=pue, name=content["name"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"the zone's property 'exawatt' cannot be read: {error!r}.") from None


def _partition(kind: Host, nodes: int, number: int) -> Partition:
    pstate = min(kind.computing_pstates)
    idle_w = kind.power_w(pstate, 0.0)
    sleep = kind.sleeps[0] if kind.sleeps else None
    return Partition(
        nodes=nodes,
        procs=nodes * kind.cores,
        number=number,
        idle_w=idle_w,
        busy_w=kind.power_w(pstate, 1.0),
        sleep_w=kind.power_w(sleep.asleep, 0.0) if sleep else idle_w,
        fall_asleep_s=1 / kind.speeds_flops[sleep.falling_asleep] if sleep else 0.0,
        fall_asleep_w=kind.power_w(sleep.falling_asleep, 1.0) if sleep else idle_w,
        wake_s=1 / kind.speeds_flops[sleep.waking] if sleep else 0.0,
        wake_w=kind.power_w(sleep.waking, 1.0) if sleep else idle_w,
    )


def read_platform(path: Path | str) -> Platform:
    """Platform of a SimGrid platform file; see :func:`platform_of`."""
    return platform_of(read_hosts(path), name=Path(path).name.split(".")[0])


def write_platform(platform: Platform, path: Path | str) -> None:
    """Write a platform as SimGrid XML (``.xml`` or ``.xml.gz``), a host for each processor.

    Batsim allocates whole hosts of one core, so that a processor is the host, with its share of
    the node's watts. What has no place there (GPUs, nodes, partition numbers, PUE) stands in a
    property of the zone, so that :func:`read_platform` returns the same platform.
    """
    content = {
        "name": platform.name,
        "pue": asdict(platform.pue) if isinstance(platform.pue, Pue) else platform.pue,
        "partitions": [asdict(partition) for partition in platform.partitions],
    }
    lines = [
        "<?xml version='1.0'?>",
        '<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">',
        '<platform version="4.1">',
        '<zone id="AS0" routing="Vivaldi">',
        f'<prop id="{_PROPERTY}" value={quoteattr(json.dumps(content))}/>',
        f'<host id="{MASTER_HOST}" coordinates="0 0 0" speed="100Mf">'
        '<prop id="wattage_per_state" value="0:0:0"/></host>',
        *(_host_xml(host) for host in _hosts_of(platform)),
        "</zone>",
        "</platform>",
    ]
    write_text(path, "\n".join(lines) + "\n")


def _hosts_of(platform: Platform) -> Iterator[Host]:
    width = len(str(platform.procs - 1))
    number = 0
    for partition in platform.partitions:
        share = partition.nodes / partition.procs
        watts = [
            (partition.idle_w, partition.idle_w, partition.busy_w),
            *((w, w, w) for w in (partition.sleep_w, partition.fall_asleep_w, partition.wake_w)),
        ]
        times_s = (partition.fall_asleep_s, partition.wake_s)
        for _ in range(partition.procs):
            yield Host(
                name=f"host{number:0{width}d}",
                speeds_flops=(
                    _COMPUTE_FLOPS,
                    _ASLEEP_FLOPS,
                    *(min(1 / t, _INSTANT_FLOPS) if t else _INSTANT_FLOPS for t in times_s),
                ),
                watts=tuple((i * share, e * share, a * share) for i, e, a in watts),
                sleeps=(SleepState(1, 2, 3),),
            )
            number += 1


def _host_xml(host: Host) -> str:
    speeds = ", ".join(f"{speed!r}f" for speed in host.speeds_flops)
    watts = ", ".join(":".join(repr(number) for number in one) for one in host.watts)
    sleeps = ", ".join(f"{s.asleep}:{s.falling_asleep}:{s.waking}" for s in host.sleeps)
    return (
        f'<host id="{host.name}" coordinates="0 0 0" speed="{speeds}" pstate="{host.pstate}">'
        f'<prop id="wattage_per_state" value="{watts}"/><prop id="sleep_pstates" value="{sleeps}"/>'
        "</host>"
    )
