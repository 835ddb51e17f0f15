"""Binary heaps in plain arrays: the real ends of jobs, and candidates in some order."""

from exawatt.replay.state import compiled_inline


@compiled_inline
def push(ranked, at, key, tie, slot):  # type: ignore[no-untyped-def]
    """Put a queue slot into the heap of `at` others, by its key, then its tie, then itself."""
    while at > 0:
        parent = (at - 1) >> 1
        if not _before(key, tie, slot, ranked, parent):
            break
        _move(ranked, parent, at)
        at = parent
    ranked.key[at], ranked.tie[at], ranked.slot[at] = key, tie, slot


@compiled_inline
def pop(ranked, size):  # type: ignore[no-untyped-def]
    """Take the first slot out of the heap; `size` entries remain."""
    first = ranked.slot[0]
    key, tie, slot = ranked.key[size], ranked.tie[size], ranked.slot[size]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and _before(
            ranked.key[right], ranked.tie[right], ranked.slot[right], ranked, child
        ):
            child = right
        if _before(key, tie, slot, ranked, child):
            break
        _move(ranked, child, at)
        at = child
    ranked.key[at], ranked.tie[at], ranked.slot[at] = key, tie, slot
    return first


@compiled_inline
def _before(key, tie, slot, ranked, at):  # type: ignore[no-untyped-def]
    first = slot < ranked.slot[at]
    if key != ranked.key[at]:
        first = key < ranked.key[at]
    elif tie != ranked.tie[at]:
        first = tie < ranked.tie[at]
    return first


@compiled_inline
def _move(ranked, source, to):  # type: ignore[no-untyped-def]
    ranked.key[to] = ranked.key[source]
    ranked.tie[to] = ranked.tie[source]
    ranked.slot[to] = ranked.slot[source]


@compiled_inline
def push_end(heap_end, heap_job, at, end, job):  # type: ignore[no-untyped-def]
    """Put a job's end into the heap of `at` others; at one instant in trace order."""
    while at > 0:
        parent = (at - 1) >> 1
        if heap_end[parent] < end or (heap_end[parent] == end and heap_job[parent] < job):
            break
        heap_end[at] = heap_end[parent]
        heap_job[at] = heap_job[parent]
        at = parent
    heap_end[at] = end
    heap_job[at] = job


@compiled_inline
def pop_end(heap_end, heap_job, size):  # type: ignore[no-untyped-def]
    """Take the first end out of the heap; `size` entries remain."""
    end, job = heap_end[size], heap_job[size]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and (
            heap_end[right] < heap_end[child]
            or (heap_end[right] == heap_end[child] and heap_job[right] < heap_job[child])
        ):
            child = right
        if end < heap_end[child] or (end == heap_end[child] and job < heap_job[child]):
            break
        heap_end[at] = heap_end[child]
        heap_job[at] = heap_job[child]
        at = child
    heap_end[at] = end
    heap_job[at] = job
