"""Nodes: which of them a job takes, and which of them sleep."""

from exawatt.replay.compiling import compiled, compiled_inline
from exawatt.replay.lanes import lowest_bit
from exawatt.replay.state import ASLEEP, AWAKE, AWAKE_FREE, FALLING, LOGGED, SLEEPERS


@compiled
def fall_asleep(nodes, now):  # type: ignore[no-untyped-def]
    """Let the nodes that have been idle long enough fall asleep, and be asleep."""
    awake = nodes.free.size
    falling = awake + 1
    while True:
        node = nodes.after[awake]
        if node == awake or nodes.since[node] + nodes.sleep_after_s > now:
            break
        _unlink(nodes, node)
        _append(nodes, node, falling)
        nodes.state[node] = FALLING
        _move_bit(nodes, node, 0, 1)
        nodes.counts[AWAKE_FREE] -= nodes.free[node]
    while True:
        node = nodes.after[falling]
        if node == falling or asleep_s(nodes, node) > now:
            break
        _unlink(nodes, node)
        nodes.state[node] = ASLEEP
        nodes.counts[SLEEPERS] += 1


@compiled_inline
def asleep_s(nodes, node):  # type: ignore[no-untyped-def]
    """Moment at which an idle node is fully asleep [s]."""
    return nodes.since[node] + nodes.sleep_after_s + nodes.fall_asleep_s


@compiled
def next_asleep_s(nodes):  # type: ignore[no-untyped-def]
    """Moment at which the next node is fully asleep [s]; infinite if none is idle and awake."""
    awake = nodes.free.size
    node = nodes.after[awake + 1]
    if node > awake:
        node = nodes.after[awake]
    moment = asleep_s(nodes, min(node, awake - 1))
    if node >= awake:
        moment = float("inf")
    return moment


@compiled_inline
def ready_s(nodes, node, now):  # type: ignore[no-untyped-def]
    """Moment at which a node is awake if it is taken now [s]."""
    ready = max(now, nodes.ready[node])
    if nodes.state[node] != AWAKE:
        ready = max(now, asleep_s(nodes, node)) + nodes.wake_s
    return ready


@compiled
def waking(nodes, procs, now):  # type: ignore[no-untyped-def]
    """Start [s] of a job that is chosen now, and how many fully sleeping nodes it would wake."""
    begin, woken = now, 0
    if procs > nodes.counts[AWAKE_FREE] or nodes.ready[nodes.free.size] > now:
        lacking = procs
        for others in range(2):
            word = 0
            while lacking > 0 and word < nodes.room.shape[1]:
                bits = nodes.room[others, word]
                while lacking > 0 and bits != 0:
                    node = 32 * word + lowest_bit(bits)
                    bits &= bits - 1
                    lacking -= nodes.free[node]
                    begin = max(begin, ready_s(nodes, node, now))
                    if nodes.state[node] == ASLEEP:
                        woken += 1
                word += 1
    return begin, woken


@compiled
def take(nodes, job, procs, now):  # type: ignore[no-untyped-def]
    """Give a job the lowest free processors, those of sleeping nodes last; return its start [s]."""
    begin, lacking = now, procs
    last = -1
    for others in range(2):
        word = 0
        while lacking > 0 and word < nodes.room.shape[1]:
            bits = nodes.room[others, word]
            while lacking > 0 and bits != 0:
                node = 32 * word + lowest_bit(bits)
                bits &= bits - 1
                begin = max(begin, ready_s(nodes, node, now))
                if nodes.free[node] == nodes.first_proc[node + 1] - nodes.first_proc[node]:
                    _leave_idle(nodes, node, now)
                proc = nodes.first_proc[node]
                while lacking > 0 and proc < nodes.first_proc[node + 1]:
                    if not nodes.taken[proc]:
                        nodes.taken[proc] = True
                        if last < 0:
                            nodes.job_proc[job] = proc
                        else:
                            nodes.next_proc[last] = proc
                        last = proc
                        lacking -= 1
                        nodes.free[node] -= 1
                        nodes.counts[AWAKE_FREE] -= 1
                    proc += 1
                if nodes.free[node] == 0:
                    nodes.room[0, word] &= ~(1 << (node & 31))
            word += 1
    nodes.next_proc[last] = -1
    return begin


@compiled
def give_back(nodes, job, now):  # type: ignore[no-untyped-def]
    """Free the processors of a job that has ended."""
    proc = nodes.job_proc[job]
    while proc >= 0:
        node = nodes.node[proc]
        nodes.taken[proc] = False
        nodes.free[node] += 1
        nodes.room[0, node >> 5] |= 1 << (node & 31)
        nodes.counts[AWAKE_FREE] += 1
        if nodes.free[node] == nodes.first_proc[node + 1] - nodes.first_proc[node]:
            nodes.since[node] = now
            _append(nodes, node, nodes.free.size)
        proc = nodes.next_proc[proc]


@compiled_inline
def _leave_idle(nodes, node, now):  # type: ignore[no-untyped-def]
    """Take an idle node out of its list; wake it, and log its sleep, if it is not awake."""
    if nodes.state[node] == ASLEEP:
        nodes.counts[SLEEPERS] -= 1
    else:
        _unlink(nodes, node)
    if nodes.state[node] != AWAKE:
        nodes.ready[node] = ready_s(nodes, node, now)
        nodes.ready[nodes.free.size] = max(nodes.ready[nodes.free.size], nodes.ready[node])
        log = nodes.counts[LOGGED]
        nodes.log_node[log] = node
        nodes.log_since[log] = nodes.since[node]
        nodes.log_until[log] = now
        nodes.counts[LOGGED] = log + 1
        nodes.state[node] = AWAKE
        _move_bit(nodes, node, 1, 0)
        nodes.counts[AWAKE_FREE] += nodes.free[node]


@compiled_inline
def _move_bit(nodes, node, source, to):  # type: ignore[no-untyped-def]
    bit = 1 << (node & 31)
    nodes.room[source, node >> 5] &= ~bit
    nodes.room[to, node >> 5] |= bit


@compiled_inline
def _unlink(nodes, node):  # type: ignore[no-untyped-def]
    nodes.after[nodes.before[node]] = nodes.after[node]
    nodes.before[nodes.after[node]] = nodes.before[node]


@compiled_inline
def _append(nodes, node, ring):  # type: ignore[no-untyped-def]
    last = nodes.before[ring]
    nodes.after[last] = node
    nodes.before[node] = last
    nodes.after[node] = ring
    nodes.before[ring] = node
