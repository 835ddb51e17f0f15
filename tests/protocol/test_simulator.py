"""The simulator's rules, by hand, and what holds for any scheduler."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exawatt.batsim import intervals
from exawatt.batsim.clock import Clock
from exawatt.batsim.external import External
from exawatt.batsim.hosts import Hosts
from exawatt.batsim.job_file import JobFile
from exawatt.batsim.machine import Machine
from exawatt.batsim.outputs import Outputs
from exawatt.batsim.protocol import SchedulerError, encode, parse_reply

Message = dict[str, Any]
Decisions = list[tuple[float, str, dict[str, Any]]]


class Greedy:
    """Start what fits on the lowest idle hosts, first come, first served."""

    def __init__(self, hosts: int = 4) -> None:
        self.free = set(range(hosts))
        self.queue: list[tuple[str, int]] = []

    def __call__(self, message: Message) -> Decisions:
        for event in message["events"]:
            data = event["data"]
            if event["type"] == "JOB_SUBMITTED":
                self.queue.append((data["job_id"], data["job"]["res"]))
            elif event["type"] == "JOB_COMPLETED":
                self.free |= set(intervals.members(intervals.parse(data["alloc"])))
        decisions: Decisions = []
        while self.queue and self.queue[0][1] <= len(self.free):
            job, count = self.queue.pop(0)
            hosts = sorted(self.free)[:count]
            self.free -= set(hosts)
            alloc = " ".join(str(h) for h in hosts)
            decisions.append((message["now"], "EXECUTE_JOB", {"job_id": job, "alloc": alloc}))
        return decisions


Converse = Callable[..., Any]
MakeJobs = Callable[..., JobFile]


def ends(session: Any) -> list[tuple[float, str, str, int]]:
    return [
        (time_s, data["job_id"], data["job_state"].removeprefix("COMPLETED_"), data["return_code"])
        for time_s, data in session.of("JOB_COMPLETED")
    ]


def test_jobs_end_by_their_profile_or_walltime(converse: Converse, make_jobs: MakeJobs) -> None:
    jobs = make_jobs(
        (0.0, 1, "d10", 11.0),
        (0.0, 1, "d10", 10.0),
        (0.0, 1, "c10", 10.0),
        (0.0, 1, "c20", 5.0),
        (30.0, 1, "bad", None),
        bad={"type": "delay", "delay": 1, "ret": 3},
    )
    assert ends(converse(jobs, Greedy())) == [
        (5.0, "w0!3", "WALLTIME_REACHED", -1),
        # A delay as long as the walltime is too long, a computation is not.
        (10.0, "w0!0", "SUCCESSFULLY", 0),
        (10.0, "w0!1", "WALLTIME_REACHED", -1),
        (10.0, "w0!2", "SUCCESSFULLY", 0),
        (31.0, "w0!4", "FAILED", 3),
    ]


def test_sequences_stop_at_the_walltime_and_at_failures(
    converse: Converse, make_jobs: MakeJobs
) -> None:
    profiles = {
        "all": {"type": "composed", "repeat": 2, "seq": ["d5", "c5"]},
        "fails": {"type": "composed", "seq": ["d5", "bad", "d100"]},
        "bad": {"type": "parallel_homogeneous", "cpu": 1e8, "ret": 7},
    }
    jobs = make_jobs(
        (0.0, 1, "all", None), (0.0, 1, "all", 17.0), (0.0, 2, "fails", None), **profiles
    )
    assert ends(converse(jobs, Greedy())) == [
        (6.0, "w0!2", "FAILED", 7),
        (17.0, "w0!1", "WALLTIME_REACHED", -1),
        (20.0, "w0!0", "SUCCESSFULLY", 0),
    ]


def test_the_sequence_of_messages(converse: Converse, make_jobs: MakeJobs) -> None:
    jobs = make_jobs((1.0, 1, "d1", None), (1.0, 1, "d5", None), (3.0, 1, "c1", None))
    session = converse(jobs, Greedy())
    assert [
        (message["now"], [event["type"] for event in message["events"]])
        for message in session.messages
    ] == [
        (0.0, ["SIMULATION_BEGINS"]),
        (1.0, ["JOB_SUBMITTED", "JOB_SUBMITTED"]),
        (2.0, ["JOB_COMPLETED"]),
        (3.0, ["JOB_SUBMITTED"]),
        (3.0, ["NOTIFY"]),
        (4.0, ["JOB_COMPLETED"]),
        (6.0, ["JOB_COMPLETED"]),
        (6.0, ["SIMULATION_ENDS"]),
    ]


def test_one_instant_is_ordered_by_when_each_sleep_began(
    converse: Converse, make_jobs: MakeJobs
) -> None:
    """At t=10: a delay begun at 0, a submission awaited since 5, a call, and then computing."""
    jobs = make_jobs(
        (0.0, 1, "d10", None), (0.0, 1, "c10", None), (5.0, 1, "d5", None), (10.0, 1, "d1", None)
    )
    greedy = Greedy()

    def decide(message: Message) -> Decisions:
        decisions = greedy(message)
        if message["now"] == 5.0:
            decisions.append((5.0, "CALL_ME_LATER", {"timestamp": 10.0}))
        return decisions

    session = converse(jobs, decide)
    assert [
        data.get("job_id", kind) for time_s, kind, data in session.events if time_s == 10.0
    ] == ["w0!0", "w0!3", "w0!2", "REQUESTED_CALL", "w0!1", "NOTIFY"]


def test_equal_submissions_are_ordered_by_their_name_as_text(
    converse: Converse, make_jobs: MakeJobs
) -> None:
    session = converse(make_jobs(*[(1.0, 1, "d1", None)] * 12), Greedy())
    order = [data["job_id"] for _, data in session.of("JOB_SUBMITTED")]
    assert order[:4] == ["w0!0", "w0!1", "w0!10", "w0!11"]


def test_a_late_reply_gathers_what_happens_meanwhile(
    converse: Converse, make_jobs: MakeJobs
) -> None:
    jobs = make_jobs((1.0, 1, "d1", None), (2.0, 1, "d1", None), (20.0, 1, "d1", None))

    def decide(message: Message) -> Decisions:
        first = {"job_id": "w0!0", "alloc": "0"}
        second = {"job_id": "w0!1", "alloc": "1"}
        if message["now"] == 1.0:
            return [(4.0, "EXECUTE_JOB", first), (6.5, "NOW", {})]
        if message["now"] == 6.5:
            return [(6.5, "EXECUTE_JOB", second)]
        if message["now"] == 20.0 and message["events"][0]["type"] == "JOB_SUBMITTED":
            return [(20.0, "REJECT_JOB", {"job_id": "w0!2"})]
        return []

    session = converse(jobs, decide)
    message = session.messages[2]
    assert message["now"] == 6.5
    assert [(event["timestamp"], event["type"]) for event in message["events"]] == [
        (2.0, "JOB_SUBMITTED"),
        (5.0, "JOB_COMPLETED"),
    ]


def test_kills_come_after_what_ends_by_itself(converse: Converse, make_jobs: MakeJobs) -> None:
    jobs = make_jobs((0.0, 1, "d10", None), (0.0, 1, "d20", None))
    greedy = Greedy()

    def decide(message: Message) -> Decisions:
        decisions = greedy(message)
        if message["now"] == 0.0 and message["events"][0]["type"] == "JOB_SUBMITTED":
            decisions += [(10.0, "KILL_JOB", {"job_ids": ["w0!0", "w0!1"]}), (10.0, "NOW", {})]
        return decisions

    session = converse(jobs, decide)
    assert ends(session) == [(10.0, "w0!0", "SUCCESSFULLY", 0), (10.0, "w0!1", "KILLED", -1)]
    ((_, killed),) = session.of("JOB_KILLED")
    assert killed == {
        "job_ids": ["w0!0", "w0!1"],
        "job_progress": {"w0!1": {"profile_name": "d20", "progress": 0.5}},
    }


def test_progress_of_a_sequence_is_a_place_in_it(converse: Converse, make_jobs: MakeJobs) -> None:
    sequence = {"type": "composed", "repeat": 2, "seq": ["d1", "d10"]}
    greedy = Greedy()

    def decide(message: Message) -> Decisions:
        decisions = greedy(message)
        if decisions:
            decisions += [(14.5, "KILL_JOB", {"job_ids": ["w0!0"]}), (14.5, "NOW", {})]
        return decisions

    session = converse(make_jobs((0.0, 1, "twice", None), twice=sequence), decide)
    ((_, killed),) = session.of("JOB_KILLED")
    assert killed["job_progress"]["w0!0"] == {
        "profile_name": "twice",
        "current_task_index": 1,
        "current_repetition": 1,
        "current_task": {"profile_name": "d10", "progress": 0.25},
    }


def test_a_mapping_puts_executors_on_one_host(converse: Converse, make_jobs: MakeJobs) -> None:
    def decide(message: Message) -> Decisions:
        if message["events"][0]["type"] != "JOB_SUBMITTED":
            return []
        data = {"job_id": "w0!0", "alloc": "1 3", "mapping": {"0": "0", "1": "1", "2": "1"}}
        return [(message["now"], "EXECUTE_JOB", data)]

    session = converse(make_jobs((0.0, 3, "c10", None)), decide)
    assert ends(session)[0][0] == 20.0


def test_a_job_state_is_taken_from_the_scheduler(converse: Converse, make_jobs: MakeJobs) -> None:
    def decide(message: Message) -> Decisions:
        now_s, kind = message["now"], message["events"][0]["type"]
        if kind == "JOB_SUBMITTED":
            running = {"job_id": "w0!0", "job_state": "RUNNING"}
            return [
                (now_s, "CHANGE_JOB_STATE", running),
                (now_s, "CALL_ME_LATER", {"timestamp": 9}),
            ]
        if kind == "REQUESTED_CALL":
            over = {"job_id": "w0!0", "job_state": "COMPLETED_SUCCESSFULLY"}
            return [(now_s, "CHANGE_JOB_STATE", over)]
        return []

    session = converse(make_jobs((2.0, 1, "d1", None)), decide)
    assert session.of("JOB_COMPLETED") == []
    assert session.simulator.outputs.summary()["makespan"] == 9.0


def refused(kind: str, **data: Any) -> Callable[[Message], Decisions]:
    return lambda message: [(message["now"], kind, data)]


@pytest.mark.parametrize(
    ("decide", "message"),
    [
        (refused("REJECT_JOB", job_id="w0!9"), r"REJECT_JOB .* job 'w0!9' was not submitted"),
        (refused("REJECT_JOB", job_id=4), r"job_id\(=4\) must be a text"),
        (refused("KILL_JOB", job_ids="w0!0"), r"job_ids\(='w0!0'\) must be a list of texts"),
        (refused("SET_RESOURCE_STATE", resources="0", state="1"), "with --energy only"),
        (refused("QUERY", requests={"consumed_energy": {}}), "with --energy only"),
        (refused("QUERY", requests={"weather": {}}), "request 'weather' is unknown"),
        (refused("REGISTER_JOB", job_id="d!0", job={}), "pass --enable-dynamic-jobs"),
        (refused("NOTIFY", type="lunch"), r"type\(='lunch'\) must be 'registration_finished'"),
        (refused("SET_JOB_METADATA", job_id="x", metadata="y"), "job 'x' is not known"),
    ],
)
def test_wrong_decisions_are_named(
    converse: Converse, make_jobs: MakeJobs, decide: Any, message: str
) -> None:
    with pytest.raises(SchedulerError, match=message):
        converse(make_jobs((1.0, 1, "d1", None)), decide)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"alloc": "0-1", "mapping": {"0": "0", "1": "1"}},
            r"has 2 entries, and job 'w0!0' has res\(=1\); pass one for each",
        ),
        (
            {"alloc": "0-99999999999999999999999"},
            r"alloc\(='0-9+'\) names hosts that do not exist; pass 0-3",
        ),
    ],
)
def test_wrong_allocations_are_named(
    converse: Converse, make_jobs: MakeJobs, data: dict[str, Any], message: str
) -> None:
    execute = refused("EXECUTE_JOB", job_id="w0!0", **data)

    def decide(message: Message) -> Decisions:
        return execute(message) if message["events"][0]["type"] == "JOB_SUBMITTED" else []

    with pytest.raises(SchedulerError, match=message):
        converse(make_jobs((1.0, 1, "d1", None)), decide)


@pytest.mark.parametrize(
    ("state", "message"), [("3", "host 0 .host0. has no pstate 3"), ("x", r"state\(='x'\)")]
)
def test_wrong_pstates_are_named(
    converse: Converse, make_jobs: MakeJobs, state: str, message: str
) -> None:
    decide = refused("SET_RESOURCE_STATE", resources="0", state=state)
    with pytest.raises(SchedulerError, match=message):
        converse(make_jobs((1.0, 1, "d1", None)), decide, energy=True)


def test_a_job_cannot_start_on_hosts_that_left(converse: Converse, make_jobs: MakeJobs) -> None:
    left = External(0.5, {"type": "event_machine_unavailable", "resources": "0"}, 1, False)
    with pytest.raises(SchedulerError, match="not idle: 0 unavailable"):
        converse(make_jobs((1.0, 1, "d1", None)), Greedy(), external=(left,))


def external(at_s: float, resources: str, available: bool) -> External:
    kind = "event_machine_available" if available else "event_machine_unavailable"
    data = {"type": kind, "resources": resources}
    return External(at_s, data, intervals.parse(resources), available)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (
            [external(1, "0-1", False), external(2, "1-2", False)],
            "event_machine_unavailable at 2 s: hosts 1 are unavailable already; let them return",
        ),
        (
            [external(3, "2", True)],
            "event_machine_available at 3 s: hosts 2 are available already; let them leave",
        ),
    ],
)
def test_hosts_leave_and_return_in_turns(
    converse: Converse, make_jobs: MakeJobs, events: list[External], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        converse(make_jobs(), Greedy(), external=tuple(events))


@pytest.mark.parametrize(
    ("away_s", "back_s", "at_10", "at_end"),
    [
        # Host 3 falls asleep from 1 to 3, and wakes from 20 to 25.
        (2.0, 0.0, "3 unavailable", "3 unavailable"),
        (5.0, 0.0, "3 unavailable", "3 unavailable"),
        (2.0, 2.5, "3 sleeping", "3 idle"),
        (2.0, 4.0, "3 sleeping", "3 idle"),
        (5.0, 6.0, "3 sleeping", "3 idle"),
        (22.0, 0.0, "3 sleeping", "3 unavailable"),
        (22.0, 26.0, "3 sleeping", "3 idle"),
    ],
)
def test_hosts_leave_whatever_they_do(
    four_hosts: Hosts, away_s: float, back_s: float, at_10: str, at_end: str
) -> None:
    clock = Clock()
    machine = Machine(four_hosts, clock, Outputs(None, 4), energy=True)
    states: list[str] = []

    def wake() -> None:
        if "unavailable" in machine.state_of(8):
            with pytest.raises(ValueError, match="3 unavailable: cannot be set"):
                machine.switch(8, 0, lambda: None)
        else:
            machine.switch(8, 0, lambda: None)

    clock.sleep(1.0, lambda: machine.switch(8, 2, lambda: None))
    clock.sleep(10.0, lambda: states.append(machine.state_of(8)))
    clock.sleep(20.0, wake)
    clock.sleep(away_s, lambda: machine.withdraw(8))
    if back_s:
        clock.sleep(back_s, lambda: machine.give_back(8))
    while not clock.idle:
        for due in clock.step():
            due()
        machine.settle()
    assert [*states, machine.state_of(8)] == [at_10, at_end]


def test_a_second_kill_is_passed_over(converse: Converse, make_jobs: MakeJobs) -> None:
    greedy = Greedy()

    def decide(message: Message) -> Decisions:
        decisions, kill = greedy(message), {"job_ids": ["w0!0"]}
        if decisions:
            decisions += [(at_s, "KILL_JOB", kill) for at_s in (2.0, 2.0, 3.0)] + [(4.0, "NOW", {})]
        return decisions

    session = converse(make_jobs((1.0, 1, "d10", None)), decide)
    assert [(at_s, data["job_ids"]) for at_s, data in session.of("JOB_KILLED")] == [(2.0, ["w0!0"])]
    assert ends(session) == [(2.0, "w0!0", "KILLED", -1)]


@pytest.mark.parametrize("alloc", ["0", "0-1", "0-3"])
def test_shared_work_runs_on_any_number_of_hosts(
    converse: Converse, make_jobs: MakeJobs, alloc: str
) -> None:
    def decide(message: Message) -> Decisions:
        if message["events"][0]["type"] != "JOB_SUBMITTED":
            return []
        return [(message["now"], "EXECUTE_JOB", {"job_id": "w0!0", "alloc": alloc})]

    total = {"type": "parallel_homogeneous_total", "cpu": 8e8}
    session = converse(make_jobs((0.0, 2, "total", None), total=total), decide)
    hosts = intervals.parse(alloc).bit_count()
    assert ends(session) == [(8.0 / hosts, "w0!0", "SUCCESSFULLY", 0)]


def test_a_job_larger_than_the_platform_is_named_at_the_deadlock(
    converse: Converse, make_jobs: MakeJobs
) -> None:
    with pytest.raises(SchedulerError, match=r"Job w0!0 has res\(=5\), and the platform has 4"):
        converse(make_jobs((1.0, 5, "d1", None)), Greedy())


@pytest.mark.parametrize(("subtime_s", "waiting_s"), [(100.0, 0.0), (0.5, 0.5)])
def test_a_job_is_not_submitted_before_it_is_registered(
    converse: Converse, make_jobs: MakeJobs, subtime_s: float, waiting_s: float
) -> None:
    def decide(message: Message) -> Decisions:
        if message["events"][0]["type"] != "JOB_SUBMITTED":
            return []
        job = {"subtime": subtime_s, "res": 1, "profile": "d1"}
        return [
            (1.0, "REJECT_JOB", {"job_id": "w0!0"}),
            (1.0, "REGISTER_JOB", {"job_id": "w0!x", "job": job}),
            (1.0, "EXECUTE_JOB", {"job_id": "w0!x", "alloc": "0"}),
            (1.0, "NOTIFY", {"type": "registration_finished"}),
        ]

    session = converse(make_jobs((1.0, 1, "d1", None)), decide, enable_dynamic_jobs=True)
    assert session.simulator.outputs.summary()["mean_waiting_time"] == waiting_s


def test_a_registered_job_is_checked(converse: Converse, make_jobs: MakeJobs) -> None:
    def decide(message: Message) -> Decisions:
        again = {"type": "composed", "seq": ["s"]}
        job = {"subtime": 0, "res": 1, "profile": "s"}
        at_s, name = message["now"], {"workload_name": "w0", "profile_name": "s"}
        return [
            (at_s, "REGISTER_PROFILE", name | {"profile": again}),
            (at_s, "REGISTER_JOB", {"job_id": "w0!x", "job": job}),
        ]

    with pytest.raises(SchedulerError, match="job 'w0!x': profile 's' has 's' in its seq"):
        converse(make_jobs((1.0, 1, "d1", None)), decide, enable_dynamic_jobs=True)


@pytest.fixture
def usual_recursion_limit() -> Iterator[None]:
    """Recurse as deep as Python does by itself: pybatsim, where it was imported, allows more."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("usual_recursion_limit")
def test_deep_profiles_and_replies_are_one_error(converse: Converse, make_jobs: MakeJobs) -> None:
    chain = {f"n{i}": {"type": "composed", "seq": [f"n{i + 1}"]} for i in range(2000)}
    jobs = make_jobs((1.0, 1, "n0", None), **chain, n2000={"type": "delay", "delay": 1})
    with pytest.raises(SchedulerError, match="job 'w0!0': profile 'n0' runs others nested too"):
        converse(jobs, Greedy())
    for text in ("[" * 100_000, '{"now": 0, "events": [' + "[" * 5000 + "]" * 5000 + "]}"):
        with pytest.raises(SchedulerError, match=r"is no JSON object|has no timestamp"):
            parse_reply(text, 0.0)


def test_unfinished_registration_is_a_deadlock(converse: Converse, make_jobs: MakeJobs) -> None:
    with pytest.raises(SchedulerError, match="never sent NOTIFY registration_finished"):
        converse(make_jobs((1.0, 1, "d1", None)), Greedy(), enable_dynamic_jobs=True)


def test_numbers_are_written_as_batsim_does() -> None:
    value = {"a": 1.0, "b": 3, "c": [None, True, 1e-9], "d": 'x"y'}
    assert encode(value) == '{"a":1.000000,"b":3,"c":[null,true,0.000000],"d":"x\\"y"}'
    assert json.loads(encode(value))["d"] == 'x"y'


names = [f"{kind}{n}" for kind in "dc" for n in (1, 5, 10, 20)]
job_rows = st.lists(
    st.tuples(
        st.integers(0, 40).map(lambda n: n / 4),
        st.integers(1, 4),
        st.sampled_from(names),
        st.none() | st.sampled_from([0.5, 5.0, 12.5]),
    ),
    max_size=12,
)


class Erratic(Greedy):
    """Greedy, and kills, calls and naps as it is told."""

    def __init__(self, whims: list[int]) -> None:
        super().__init__()
        self.whims = whims
        self.running: list[str] = []

    def __call__(self, message: Message) -> Decisions:
        for event in message["events"]:
            if event["type"] == "JOB_COMPLETED":
                self.running.remove(event["data"]["job_id"])
        now_s = message["now"]
        decisions = super().__call__(message)
        whim = self.whims.pop() if self.whims else 0
        if message["events"][0]["type"] == "SIMULATION_ENDS":
            return []
        if whim == 1 and self.running:
            decisions.append((now_s, "KILL_JOB", {"job_ids": self.running[:2]}))
        elif whim == 2:
            decisions.append((now_s, "CALL_ME_LATER", {"timestamp": now_s + 1.75}))
        elif whim == 3:
            decisions.append((now_s + 0.75, "QUERY", {"requests": {"consumed_energy": {}}}))
            decisions.append((now_s + 1.25, "NOW", {}))
        self.running += [d["job_id"] for _, kind, d in decisions if kind == "EXECUTE_JOB"]
        return decisions


@settings(max_examples=60)
@given(job_rows, st.lists(st.integers(0, 3), max_size=30))
def test_invariants(
    converse: Converse, make_jobs: MakeJobs, four_hosts: Hosts, rows: Any, whims: list[int]
) -> None:
    session = converse(make_jobs(*rows), Erratic(whims), energy=True)
    jobs = list(session.simulator.jobs.values())
    times_s = [time_s for time_s, _, _ in session.events]
    assert times_s == sorted(times_s)
    for job in jobs:
        assert job.state.startswith("COMPLETED")
        assert job.submit_s <= job.start_s <= job.end_s
        assert job.alloc.bit_count() == job.hosts
        if job.walltime_s > 0:
            assert job.end_s - job.start_s <= job.walltime_s + 1e-6
    for i, one in enumerate(jobs):
        for other in jobs[i + 1 :]:
            apart = one.end_s <= other.start_s or other.end_s <= one.start_s
            assert apart or not one.alloc & other.alloc
    assert {job.id for job in jobs} == {d["job_id"] for _, d in session.of("JOB_COMPLETED")}
    # The energy of all hosts is idle power throughout, and what computing jobs add to it.
    end_s = session.messages[-1]["now"]
    busy_host_s = sum(
        job.hosts * (job.end_s - job.start_s) for job in jobs if job.profile.startswith("c")
    )
    total_j = float(session.simulator.machine.meter.total_j(end_s))
    assert total_j == pytest.approx(40.0 * end_s + 20.0 * busy_host_s)
    jobs_j = sum(job.energy_j for job in jobs)
    all_host_s = sum(job.hosts * (job.end_s - job.start_s) for job in jobs)
    assert jobs_j == pytest.approx(10.0 * all_host_s + 20.0 * busy_host_s)
    spent_s = session.simulator.outputs.summary()["time_computing"]
    assert spent_s == pytest.approx(all_host_s)
