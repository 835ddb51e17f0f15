"""Binary heap in plain arrays: waiting jobs in some order."""

from exawatt.replay.compiling import compiled_inline


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
