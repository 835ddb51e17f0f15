"""What a scheduler may decide, and what the simulator then does."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from exawatt.batsim import intervals, jobs
from exawatt.batsim.job_file import check_job
from exawatt.batsim.jobs import Job
from exawatt.batsim.machine import IDLE
from exawatt.batsim.profiles import Parallel
from exawatt.batsim.protocol import Decision, encode

if TYPE_CHECKING:
    from exawatt.batsim.simulator import Simulator


def apply(simulator: "Simulator", decision: Decision) -> None:
    """Carry out one decision of a scheduler, now.

    Raises
    ------
    SchedulerError
        It cannot be done; the message names the decision and the bad value.
    """
    handler = _HANDLERS.get(decision.kind)
    if handler is None:
        decision.refuse(f"type is unknown; known are {', '.join(_HANDLERS)}")
    try:
        handler(simulator, decision)
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        decision.refuse(str(error).rstrip("."))
    except RecursionError:
        decision.refuse("its data are nested too deeply; pass a flatter object")


def _job(simulator: "Simulator", decision: Decision, identifier: str, *states: str) -> Job:
    job = simulator.jobs.get(identifier)
    if job is None or job.state == jobs.NOT_SUBMITTED:
        decision.refuse(f"job {identifier!r} was not submitted yet")
    if states and job.state not in states:
        decision.refuse(f"job {identifier!r} is {job.state}, not {' or '.join(states)}")
    return job


def _hosts(simulator: "Simulator", decision: Decision, key: str) -> int:
    text = decision.text(key)
    count = len(simulator.machine.hosts)
    try:
        hosts = intervals.parse(text, count)
    except IndexError:
        decision.refuse(f"{key}(={text!r}) names hosts that do not exist; pass 0-{count - 1}")
    if not hosts:
        decision.refuse(f"{key}(={text!r}) names no host")
    return hosts


def _execute_job(simulator: "Simulator", decision: Decision) -> None:
    job = _job(simulator, decision, decision.text("job_id"), jobs.SUBMITTED)
    alloc = _hosts(simulator, decision, "alloc")
    for refused in ("additional_io_job", "storage_mapping"):
        if decision.data.get(refused):
            decision.refuse(f"{refused} is not supported")
    count = alloc.bit_count()
    mapping = decision.data.get("mapping")
    if mapping is None and count != job.hosts and not _divisible(simulator, job):
        decision.refuse(
            f"job {job.id!r} needs {job.hosts} hosts, and alloc(={decision.text('alloc')!r}) "
            f"names {count}"
        )
    taken = alloc & ~simulator.machine.in_state[IDLE]
    if taken:
        decision.refuse(
            f"job {job.id!r} cannot start: of its hosts {decision.text('alloc')!r} are not idle: "
            f"{simulator.machine.state_of(taken)}"
        )
    simulator.start(job, alloc, None if mapping is None else _mapped(decision, job, alloc))


def _divisible(simulator: "Simulator", job: Job) -> bool:
    """Whether a job's work is shared among however many hosts it gets."""
    profile = simulator.book[job.workload, job.profile]
    return isinstance(profile, Parallel) and profile.total


def _mapped(decision: Decision, job: Job, alloc: int) -> list[int]:
    """Host of each executor, where a mapping places them within the allocation."""
    hosts = list(intervals.members(alloc))
    mapping = decision.object("mapping")
    if len(mapping) != job.hosts:
        decision.refuse(
            f"mapping(={mapping!r}) has {len(mapping)} entries, and job {job.id!r} has "
            f"res(={job.hosts}); pass one for each executor, 0 to {job.hosts - 1}"
        )
    try:
        return [hosts[int(mapping[str(executor)])] for executor in range(len(mapping))]
    except (KeyError, ValueError, IndexError, TypeError):
        decision.refuse(
            f"mapping(={mapping!r}) must give executors 0 to n-1 a place within the {len(hosts)} "
            "hosts of alloc, as {'0': '0', '1': '0'}"
        )


def _reject_job(simulator: "Simulator", decision: Decision) -> None:
    job = _job(simulator, decision, decision.text("job_id"), jobs.SUBMITTED)
    job.state = jobs.REJECTED
    simulator.close(job)


def _kill_job(simulator: "Simulator", decision: Decision) -> None:
    states = (jobs.RUNNING, *jobs.COMPLETED)
    group = [_job(simulator, decision, one, *states) for one in decision.texts("job_ids")]
    # As in Batsim, a job is killed once: what was asked for before is passed over.
    fresh = [job for job in dict.fromkeys(group) if not job.kill_requested]
    for job in fresh:
        job.kill_requested = True
    if fresh:
        simulator.kills.append(fresh)


def _call_me_later(simulator: "Simulator", decision: Decision) -> None:
    at_s = decision.number("timestamp")
    now_s = simulator.clock.now_s
    if not now_s < at_s < float("inf"):
        decision.refuse(f"timestamp(={at_s}) must be later than now, {now_s} s")

    def call() -> None:
        simulator.calls -= 1
        simulator.send("REQUESTED_CALL", "{}")

    simulator.calls += 1
    simulator.clock.sleep(at_s - now_s, call)


def _set_resource_state(simulator: "Simulator", decision: Decision) -> None:
    if simulator.machine.meter is None:
        decision.refuse("pstates can be changed with --energy only")
    hosts = _hosts(simulator, decision, "resources")
    state = decision.data.get("state")
    if not str(state).isdecimal():
        decision.refuse(f"state(={state!r}) must be the number of a pstate")
    pstate = int(str(state))
    changed = encode({"resources": intervals.text(hosts), "state": str(pstate)})
    simulator.outputs.grouped_switches += 1
    simulator.machine.switch(
        hosts, pstate, lambda: simulator.send("RESOURCE_STATE_CHANGED", changed)
    )
    for job in simulator.jobs_on(hosts):
        if job.execution is not None:
            job.execution.change_speed()
            simulator.machine.load(job.execution)


def _query(simulator: "Simulator", decision: Decision) -> None:
    for request in decision.object("requests"):
        if request != "consumed_energy":
            decision.refuse(f"request {request!r} is unknown; pass 'consumed_energy'")
        meter = simulator.machine.meter
        if meter is None:
            decision.refuse("consumed_energy is counted with --energy only")
        total_j = meter.total_j(simulator.clock.now_s)
        simulator.send("ANSWER", encode({"consumed_energy": float(total_j)}))


def _dynamic(simulator: "Simulator", decision: Decision) -> None:
    if not simulator.options.enable_dynamic_jobs:
        decision.refuse("dynamic jobs are not allowed; pass --enable-dynamic-jobs")
    if not simulator.registering:
        decision.refuse("registration was said to be finished; send NOTIFY continue_registration")


def _register_profile(simulator: "Simulator", decision: Decision) -> None:
    _dynamic(simulator, decision)
    profile = decision.object("profile")
    simulator.book.add(decision.text("workload_name"), decision.text("profile_name"), profile)


def _register_job(simulator: "Simulator", decision: Decision) -> None:
    _dynamic(simulator, decision)
    raw = decision.object("job")
    identifier = decision.text("job_id")
    check_job(raw | {"id": identifier})
    if "!" not in identifier or identifier in simulator.jobs:
        decision.refuse(f"job_id(={identifier!r}) must be new, as 'workload!name'")
    job = Job(raw | {"id": identifier}, "")
    simulator.book.check_job(job.workload, job.id, job.profile, job.hosts)
    # It is not submitted before it exists: a subtime yet to come counts as now.
    job.submit_s = min(job.submit_s, simulator.clock.now_s)
    simulator.jobs[identifier] = job
    simulator.submit(job, announce=simulator.options.acknowledge_dynamic_jobs)


def _change_job_state(simulator: "Simulator", decision: Decision) -> None:
    """Take the scheduler's word for the state of a job that it runs by means of others."""
    job = _job(simulator, decision, decision.text("job_id"), jobs.SUBMITTED, jobs.RUNNING)
    state = decision.text("job_state")
    if job.execution is not None:
        decision.refuse(f"job {job.id!r} runs on hosts of its own; kill it instead")
    if state == jobs.RUNNING and job.state == jobs.SUBMITTED:
        job.start_s = simulator.clock.now_s
    elif state in jobs.COMPLETED:
        job.end_s = simulator.clock.now_s
        if job.state == jobs.SUBMITTED:
            job.start_s = job.end_s
    elif state != jobs.REJECTED or job.state != jobs.SUBMITTED:
        decision.refuse(f"job {job.id!r} is {job.state} and cannot become {state!r}")
    job.state = state
    if state != jobs.RUNNING:
        simulator.close(job)


def _set_job_metadata(simulator: "Simulator", decision: Decision) -> None:
    job = simulator.jobs.get(decision.text("job_id"))
    if job is None:
        decision.refuse(f"job {decision.text('job_id')!r} is not known")
    job.metadata = decision.text("metadata")


def _to_job_msg(simulator: "Simulator", decision: Decision) -> None:
    job = _job(simulator, decision, decision.text("job_id"))
    if "msg" not in decision.data:
        decision.refuse("it has no msg")
    job.inbox.append(decision.data["msg"])
    if job.execution is not None:
        job.execution.notice()


def _notify(simulator: "Simulator", decision: Decision) -> None:
    kind = decision.text("type")
    if kind not in ("registration_finished", "continue_registration"):
        decision.refuse(
            f"type(={kind!r}) must be 'registration_finished' or 'continue_registration'"
        )
    if not simulator.options.enable_dynamic_jobs:
        decision.refuse("dynamic jobs are not allowed; pass --enable-dynamic-jobs")
    simulator.registering = kind == "continue_registration"


_HANDLERS: dict[str, Callable[["Simulator", Decision], None]] = {
    "EXECUTE_JOB": _execute_job,
    "REJECT_JOB": _reject_job,
    "KILL_JOB": _kill_job,
    "CALL_ME_LATER": _call_me_later,
    "SET_RESOURCE_STATE": _set_resource_state,
    "QUERY": _query,
    "REGISTER_PROFILE": _register_profile,
    "REGISTER_JOB": _register_job,
    "CHANGE_JOB_STATE": _change_job_state,
    "SET_JOB_METADATA": _set_job_metadata,
    "TO_JOB_MSG": _to_job_msg,
    "NOTIFY": _notify,
}
