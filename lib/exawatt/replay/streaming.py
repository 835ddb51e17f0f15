"""Streaming: traces that are fed in chunks, so that memory does not grow with them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from exawatt.forecast import Forecast
from exawatt.platform import Platform
from exawatt.replay import new_engines
from exawatt.replay.demand import demands
from exawatt.replay.engine import Engine
from exawatt.replay.extras import CAUSES
from exawatt.replay.policy import Policy
from exawatt.replay.requests import RunningQuantile
from exawatt.replay.state import STARTED
from exawatt.workload import Workload


def replay_chunks(
    chunks: Iterable[Workload],
    policy: str | Path | Policy = "easy",
    platform: Platform | None = None,
    forecast: Forecast | None = None,
    causes: bool = False,
) -> Iterator[pd.DataFrame]:
    """Replay a workload that comes in chunks.

    Parameters
    ----------
    chunks : iterable of Workload
        Consecutive parts of one trace, of any sizes, each submitted after the one before.
    policy, platform, forecast, causes
        As for :func:`~exawatt.replay.replay`; the platform is the first chunk's own when not
        given.

    Yields
    ------
    DataFrame
        The jobs that started while a chunk was run, in the order in which they were chosen:
        ``row`` (counted over all chunks), ``job``, ``submit_s``, ``start_s``, ``end_s``,
        ``runtime_s``, ``frequency``, ``held_s`` and, if asked for, the seconds of wait by cause.
        Together the rows are those of the whole trace's schedule.

    Raises
    ------
    ValueError
        As for :func:`~exawatt.replay.replay`, or a chunk begins before the last one ended.
    """
    policy = Policy.of(policy)
    engines: list[Engine] = []
    earlier: list[RunningQuantile] = []
    rows, last_s = 0, -np.inf
    for chunk in chunks:
        if len(chunk) == 0:
            continue
        submit = chunk.jobs["submit_s"]
        if submit.iloc[0] < last_s:
            raise ValueError(
                f"{chunk.name} begins at {submit.iloc[0]:g} s, before {last_s:g} s, where the "
                "chunk before it ended; pass chunks in order of submission."
            )
        platform = platform or Platform.stand_in(chunk)
        engines = engines or new_engines(chunk, policy, platform, forecast, causes)
        earlier = earlier or [RunningQuantile() for _ in platform.partitions]
        parts = demands(chunk, platform, policy, earlier, rows)
        for engine, demand in zip(engines, parts, strict=True):
            engine.add(demand)
        rows, last_s = rows + len(chunk), float(submit.iloc[-1])
        # The next chunk may bring more jobs of the last instant.
        yield _run(engines, last_s)
    if not engines:
        raise ValueError("chunks hold no job to replay.")
    yield _run(engines, np.inf)


def _run(engines: list[Engine], until_s: float) -> pd.DataFrame:
    tables = []
    for engine in engines:
        before = engine.cluster.counts[STARTED] if engine.demand is not None else 0
        engine.run(until_s)
        started = engine.take_started(before)
        if started is not None:
            columns = {
                "row": started.row,
                "job": started.job,
                "submit_s": started.submit_s,
                "start_s": started.start_s,
                "end_s": started.start_s + started.runtime_s,
                "runtime_s": started.runtime_s,
                "frequency": started.frequency,
                "held_s": started.held_s,
            }
            if started.waits_s is not None:
                names = [f"wait_{cause}_s" for cause in CAUSES]
                columns |= dict(zip(names, started.waits_s.T, strict=True))
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)
