"""The reference scheduler on examples worked by hand from the page of replay semantics."""

from dataclasses import replace
from math import nan
from typing import Any

import pytest
from reference import (
    CarbonHold,
    Dvfs,
    Forecast,
    Job,
    Multifactor,
    Partition,
    Policy,
    Run,
    Scorer,
    simulate,
)
from reference_orders import formula
from reference_terms import executed, stretch, taken_procs_and_gpus, watts


def run(
    jobs: list[Job], procs: int, *, forecast: Forecast | None = None, **policy: Any
) -> list[Run]:
    """Replay jobs on nodes of one processor each."""
    return simulate(jobs, Partition(nodes=procs, procs=procs), Policy(**policy), forecast)


def starts(jobs: list[Job], procs: int, **policy: Any) -> list[float]:
    return [each.start_s for each in run(jobs, procs, **policy)]


def waited_for(each: Run) -> dict[str, float]:
    return {cause: seconds for cause, seconds in each.causes.items() if seconds}


# What a job takes


def test_a_pool_gives_what_is_asked_for_and_whole_nodes_give_everything() -> None:
    # 2 nodes of 4 processors and 2 GPUs. 5 processors need 2 nodes; 1 processor with 3 GPUs needs
    # ceil(3 / 2) = 2 nodes; half a GPU needs one.
    pool = Partition(nodes=2, procs=8, gpus=4)
    whole = replace(pool, exclusive=True)
    jobs = [Job(0, 5, 1, 1), Job(0, 1, 1, 1, gpus=3.0), Job(0, 1, 1, 1, gpus=0.5)]
    assert [taken_procs_and_gpus(pool, job) for job in jobs] == [(5, 0), (1, 3000), (1, 500)]
    assert [taken_procs_and_gpus(whole, job) for job in jobs] == [(8, 4000), (8, 4000), (4, 2000)]


def test_watts_are_what_a_job_adds_to_an_idle_machine() -> None:
    # 2 nodes of 4 processors: 2 processors are half a node, whose idle power is 50 W. Measured
    # 80 W: 30 more. Measured 40 W: nothing more. Unmeasured: half of 300 - 100, and 1.5 GPUs.
    partition = Partition(nodes=2, procs=8, gpus=2, idle_w=100, busy_w=300, gpu_w=10)
    job = Job(0, 2, 1, 1, gpus=1.5)
    assert watts(partition, replace(job, power_w=80.0)) == 30
    assert watts(partition, replace(job, power_w=40.0)) == 0
    assert watts(partition, job) == 100 + 15


def test_gpus_are_shared_in_parts() -> None:
    # One GPU: 0.5 + 0.25 of it leave 0.25, so the third job waits for the first, until 10.
    jobs = [Job(0, 1, 10, 10, gpus=part) for part in (0.5, 0.25, 0.5)]
    runs = simulate(jobs, Partition(nodes=4, procs=4, gpus=1), Policy())
    assert [each.start_s for each in runs] == [0, 0, 10]
    assert waited_for(runs[2]) == {"resources": 10}


def test_whole_nodes_are_not_shared() -> None:
    # 2 nodes of 2 processors: each job takes a node for its one processor.
    partition = Partition(nodes=2, procs=4, exclusive=True)
    runs = simulate([Job(0, 1, 10, 10)] * 3, partition, Policy())
    assert [each.start_s for each in runs] == [0, 0, 10]


def test_a_lower_frequency_takes_longer() -> None:
    # 1 + 0.5 (1 / 0.5 - 1) = 1.5.
    policy = Policy(dvfs=Dvfs(levels=(1.0, 0.5), beta=0.5))
    assert [stretch(policy, level) for level in (1.0, 0.5)] == [1, 1.5]


def test_a_job_is_cut_at_its_request() -> None:
    for kill, end, state in ((True, 60, "killed"), (False, 100, "completed")):
        (only,) = run([Job(0, 1, 100, 60)], 1, kill_at_request=kill)
        assert (only.end_s, only.state) == (end, state)
    assert executed(Job(0, 1, 100, nan), Policy()) == 100


# Estimates


def test_a_missing_request_is_the_quantile_of_those_submitted_earlier() -> None:
    # Requests {10, 40}: their 0.9-quantile is 37. The blocked head's shadow time is 40, so a job
    # without a request may start at 3 (3 + 37 = 40), not at 4. Its runtime of 5 s would do at 4.
    jobs = [Job(0, 2, 30, 40), Job(1, 4, 10, 10)]
    assert starts([*jobs, Job(3, 1, 5, nan)], 4, backfill="easy") == [0, 30, 3]
    assert starts([*jobs, Job(4, 1, 5, nan)], 4, backfill="easy") == [0, 30, 40]
    late = [*jobs, Job(4, 1, 5, nan)]
    assert starts(late, 4, backfill="easy", missing_request="runtime") == [0, 30, 4]


@pytest.mark.parametrize(("submit_s", "start_s"), [(14, 14), (15, 25)])
def test_last2_is_the_mean_of_the_users_last_two(submit_s: float, start_s: float) -> None:
    # User 1 has completed runtimes of 50 (first), 4 and 8 s: the estimate is 6, not the request
    # of 100. The head's shadow time is 20, for user 0 had completed nothing and its request of
    # 10 holds: 14 + 6 is in time, 15 + 6 is not and waits until the head ends at 25.
    jobs = [
        Job(-60, 1, 50, 100, user=1),
        Job(0, 1, 4, 100, user=1),
        Job(0, 1, 8, 100, user=1),
        Job(10, 1, 10, 10, user=0),
        Job(11, 2, 5, 5, user=0),
        Job(submit_s, 1, 6, 100, user=1),
    ]
    assert starts(jobs, 2, backfill="easy", estimate="last2") == [-60, 0, 0, 10, 20, start_s]


def test_last2_needs_two_completions_and_those_of_this_instant_count() -> None:
    # At 10 user 1 has completed jobs of 5 and, at this very instant, 10 s: the fourth job is
    # expected to take 7.5 s and is in time (10 + 7.5 <= 20). With one of them only its request of
    # 50 counts.
    short, long = Job(0, 1, 5, 50, user=1), Job(0, 1, 10, 50, user=1)
    rest = [Job(0, 1, 20, 20), Job(1, 3, 5, 5), Job(10, 1, 7, 50, user=1)]
    easy: dict[str, Any] = {"backfill": "easy", "estimate": "last2"}
    assert starts([short, long, *rest], 3, **easy) == [0, 0, 0, 20, 10]
    assert starts([long, *rest], 3, **easy) == [0, 0, 20, 25]


def test_a_column_counts_up_to_the_request_and_where_it_is_positive() -> None:
    # Shortest first: predictions 30 (cut at the request of 20), none (request 15), -1 (request 10).
    jobs = [Job(0, 1, 5, 5)]
    jobs += [
        Job(1, 1, 5, request, predicted_s=predicted)
        for request, predicted in ((20, 30), (15, nan), (10, -1), (50, 17))
    ]
    assert starts(jobs, 1, order="sjf", estimate="predicted_s") == [0, 20, 10, 5, 15]


@pytest.mark.parametrize(
    ("correction", "now", "longest", "later"),
    [
        ("none", 150, 1, 1010),  # expected at 151
        ("increments", 150, 10, 160),  # 100 + 60 = 160
        ("increments", 160, 300, 1010),  # 160 has come: 160 + 300 = 460
        ("doubling", 150, 50, 200),  # 200
        ("doubling", 200, 200, 1010),  # 400
        ("doubling", 400, 100, 1010),  # 800, but at most the request
        ("request", 150, 350, 1010),  # 500
        ("request", 600, 1, 1010),  # at the request and past it: expected at 601
        ("increments", 600, 1, 1010),
    ],
)
def test_corrections(correction: str, now: float, longest: float, later: float) -> None:
    # The first job is predicted to take 100 s, requests 500 and takes 1000. The head waits for it;
    # of a job that comes later, the longest that may go first shows the corrected expected end. One
    # that is a second longer goes when the next correction lets it, or after the head.
    jobs = [Job(0, 3, 1000, 500, predicted_s=100), Job(1, 4, 10, 10)]
    for length, start_s in ((longest, now), (longest + 1, later)):
        found = starts(
            [*jobs, Job(now, 1, length, length)],
            4,
            backfill="easy",
            estimate="predicted_s",
            correction=correction,
            kill_at_request=False,
        )
        assert found == [0, 1000, start_s]


def test_a_corrected_expected_end_is_looked_at_when_it_is_reached() -> None:
    # The first job, predicted to take 10 s, runs on. Its head waits for it, and the third job of
    # 100 s finds the shadow time 10 at 1. At 10 the estimate becomes the request of 200: in time.
    jobs = [Job(0, 3, 300, 200, predicted_s=10), Job(1, 4, 5, 5), Job(1, 1, 100, 100)]
    policy: dict[str, Any] = {"estimate": "predicted_s", "kill_at_request": False}
    assert starts(jobs, 4, backfill="easy", correction="request", **policy) == [0, 300, 10]
    assert starts(jobs, 4, backfill="easy", **policy) == [0, 300, 305]


# The order of the queue


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("fcfs", 1000),
        ("lcfs", -1000),
        ("sjf", 100),
        ("ljf", -100),
        ("saf", 400),
        ("lxf", -3),  # (200 + 100) / 100
        ("wfp3", -32),  # 2 ** 3 * 4
        ("unicep", -1),  # 200 / (2 * 100)
        ("f1", 2618),  # 2 * 4 + 870 * 3
        ("f2", 76840),  # 10 * 4 + 25600 * 3
        ("f3", 20580400),  # 100 * 4 + 6.86e6 * 3
        ("f4", 1590200),  # 100 * 2 + 530000 * 3
    ],
)
def test_scores(order: str, expected: float) -> None:
    assert formula(order, s=1000, r=100, n=4, w=200) == pytest.approx(expected)


def test_a_submission_at_zero_counts_as_a_tenth() -> None:
    assert formula("f1", s=0, r=100, n=4, w=200) == pytest.approx(8 - 870)


def test_a_starving_job_goes_first() -> None:
    # Shortest first. At 10 both have waited 9 s: starving above 8, not above 9.
    jobs = [Job(0, 4, 10, 10), Job(1, 4, 30, 30), Job(1, 4, 20, 20)]
    assert starts(jobs, 4, order="sjf") == [0, 30, 10]
    assert starts(jobs, 4, order="sjf", max_wait_s=9) == [0, 30, 10]
    assert starts(jobs, 4, order="sjf", max_wait_s=8) == [0, 10, 40]


def test_a_committed_head_stays() -> None:
    # The second job is blocked at 1 and committed; the shorter third comes at 2, too late.
    jobs = [Job(0, 4, 10, 10), Job(1, 4, 20, 20), Job(2, 4, 5, 5)]
    assert starts(jobs, 4, order="sjf") == [0, 15, 10]
    assert starts(jobs, 4, order="sjf", head="committed") == [0, 10, 30]
    # At 1 the shorter is committed, and the other does not replace it when it starves.
    both = [Job(0, 4, 10, 10), Job(1, 4, 30, 30), Job(1, 4, 20, 20)]
    assert starts(both, 4, order="sjf", head="committed", max_wait_s=8) == [0, 30, 10]


def test_fair_share_prefers_the_user_who_has_used_nothing() -> None:
    # At 10 all usage is user 1's: scores -(2 ** -2) and -(2 ** 0).
    order = Multifactor(age=0, size=0, share=1, max_age_s=100, half_life_s=100)
    jobs = [Job(0, 1, 10, 10, user=1), Job(1, 1, 5, 5, user=1), Job(2, 1, 5, 5, user=2)]
    assert starts(jobs, 1, order=order) == [0, 15, 10]


def test_age_counts_up_to_its_limit() -> None:
    # At 10 both are older than 5 s, so the larger one goes first; with a limit of 100 the older.
    jobs = [Job(0, 4, 10, 10), Job(1, 3, 5, 5), Job(4, 4, 5, 5)]
    for limit, expected in ((5, [0, 15, 10]), (100, [0, 10, 15])):
        order = Multifactor(age=10, size=1, share=0, max_age_s=limit, half_life_s=100)
        assert starts(jobs, 4, order=order) == expected


def test_a_network_of_one_layer_can_order_by_estimate() -> None:
    order = Scorer(layers=((((-1.0, *[0.0] * 7),), (0.0,)),))
    jobs = [Job(0, 1, 10, 10), Job(1, 1, 5, 5), Job(2, 1, 8, 8)]
    assert starts(jobs, 1, order=order) == [0, 18, 10]


def test_scores_that_are_no_numbers_come_last() -> None:
    # Weight infinity times the part of the GPUs: 0 * inf is not a number, 1 * inf is infinite.
    order = Scorer(layers=((((*[0.0] * 6, float("inf"), 0.0),), (0.0,)),))
    jobs = [Job(0, 1, 10, 10), Job(1, 1, 5, 5), Job(2, 1, 5, 5, gpus=1.0)]
    runs = simulate(jobs, Partition(nodes=1, procs=1, gpus=1), Policy(order=order))
    assert [each.start_s for each in runs] == [0, 15, 10]


# A scheduling pass


def test_easy_lets_a_job_take_the_extra_once() -> None:
    # 5 processors. The head needs 4 at 10, when the first job gives back 3: one is extra. Of two
    # long jobs of one processor at 2 the first takes it; the other waits until the head ends.
    jobs = [Job(0, 3, 10, 10), Job(1, 4, 5, 5), Job(2, 1, 100, 100), Job(2, 1, 100, 100)]
    assert starts(jobs, 5, backfill="easy") == [0, 10, 2, 15]


def test_easy_lets_a_job_end_by_the_shadow_time_and_keeps_the_extra() -> None:
    # 6 processors, one extra. 2 + 8 = 10 is in time and leaves the extra to the next job.
    jobs = [
        Job(0, 3, 10, 10),
        Job(1, 5, 5, 5),
        Job(2, 1, 8, 8),
        Job(2, 1, 100, 100),
        Job(2, 1, 100, 100),
    ]
    assert starts(jobs, 6, backfill="easy") == [0, 10, 2, 2, 15]


def test_backfill_order_is_another_order() -> None:
    # 3 of 4 processors run until 10; the head wants 4. At 2 there is room for one of two jobs of
    # one processor that end by 10: in trace order the longer, shortest first the other.
    jobs = [Job(0, 3, 10, 10), Job(1, 4, 5, 5), Job(2, 1, 6, 6), Job(2, 1, 5, 5)]
    assert starts(jobs, 4, backfill="easy") == [0, 10, 2, 15]
    assert starts(jobs, 4, backfill="easy", backfill_order="sjf") == [0, 10, 15, 2]


def test_conservative_gives_everyone_a_reservation() -> None:
    # The third job needs all 4 processors at 20. EASY protects the second only, so that the last
    # may take its extra processor at 3; conservative backfilling lets it wait until 25.
    jobs = [Job(0, 3, 10, 10), Job(1, 3, 10, 10), Job(2, 4, 5, 5), Job(3, 1, 30, 30)]
    assert starts(jobs, 4, backfill="easy") == [0, 10, 33, 3]
    assert starts(jobs, 4, backfill="conservative") == [0, 10, 20, 25]


def test_conservative_backfills_a_hole() -> None:
    # At 3 a processor is free until the reservation at 10: 7 s fit there.
    jobs = [Job(0, 3, 10, 10), Job(1, 4, 10, 10), Job(3, 1, 7, 7)]
    assert starts(jobs, 4, backfill="conservative") == [0, 10, 3]


def test_conservative_compresses_when_a_job_ends_early() -> None:
    # Reservations at 10 and 20 were made for a request of 10; the first job ends at 5.
    jobs = [Job(0, 2, 5, 10), Job(1, 4, 10, 10), Job(2, 2, 20, 20)]
    assert starts(jobs, 4, backfill="conservative") == [0, 5, 15]


def test_compressing_leaves_the_other_reservations_in() -> None:
    # Shortest first. The last job comes at 2 and is placed behind the reservation [10, 30). At 10
    # it is looked at first, with that reservation in place, and stays behind it.
    jobs = [Job(0, 4, 10, 10), Job(1, 4, 20, 20), Job(2, 4, 5, 5)]
    assert starts(jobs, 4, order="sjf", backfill="conservative") == [0, 10, 30]


def test_the_beginning_of_a_reservation_is_an_instant() -> None:
    # One processor; the first job overruns its request of 1 and ends at 3. At 1 it is expected at 2
    # and the others have [2, 3), [3, 4) and [4, 6). At 3 the second finds no room before 6, between
    # the two other reservations; the third takes its own and overruns it. At 4 the last reservation
    # would begin, but the processor is expected at 5: it moves behind [6, 7), to 7. At 5 the second
    # starts, for nothing is before 7 any more, and the last follows it.
    jobs = [Job(0, 1, 3, 1), Job(0, 1, 1, 1), Job(1, 1, 2, 1), Job(1, 1, 1, 2)]
    assert starts(jobs, 1, backfill="conservative", kill_at_request=False) == [0, 5, 3, 6]


# Sleep


def sleepers(nodes: int, fall_asleep_s: float, wake_s: float) -> Partition:
    return Partition(nodes=nodes, procs=nodes, fall_asleep_s=fall_asleep_s, wake_s=wake_s)


def test_a_node_that_falls_asleep_wakes_only_once_it_is_asleep() -> None:
    # Node 0 runs until 5 and would fall asleep at 15; node 1 falls asleep from 10 until 15. At 12
    # the second job takes node 0 (awake), at 13 the third takes node 1: asleep at 15, awake at 35.
    jobs = [Job(0, 1, 5, 5), Job(12, 1, 50, 50), Job(13, 1, 50, 50)]
    runs = simulate(jobs, sleepers(2, 5, 20), Policy(sleep_after_s=10))
    assert [each.chosen_s for each in runs] == [0, 12, 13]
    assert [each.start_s for each in runs] == [0, 12, 35]
    assert runs[2].end_s == 85
    assert waited_for(runs[2]) == {"waking": 22}


def test_a_sleeping_node_wakes_at_once() -> None:
    runs = simulate(
        [Job(0, 1, 5, 5), Job(100, 1, 5, 5)], sleepers(1, 5, 20), Policy(sleep_after_s=10)
    )
    assert [each.start_s for each in runs] == [0, 120]


def test_awake_nodes_are_taken_first() -> None:
    # At 20 node 0 is asleep, node 1 has just ended: one job takes node 1 at once, the next wakes
    # node 0.
    jobs = [Job(0, 1, 1, 1), Job(0, 1, 20, 20), Job(20, 1, 5, 5), Job(20, 1, 5, 5)]
    runs = simulate(jobs, sleepers(2, 5, 20), Policy(sleep_after_s=10))
    assert [each.start_s for each in runs] == [0, 0, 20, 40]


def test_a_node_that_wakes_is_taken_before_one_that_sleeps() -> None:
    # 2 nodes of 2 processors, node 0 busy on one until 20, so awake until 30; node 1 sleeps from
    # 15. At 25 the second job fills node 0. At 26 the third wakes node 1 until 46; at 28 node 0 has
    # no room, and the fourth joins the third: it starts at 46.
    partition = Partition(nodes=2, procs=4, fall_asleep_s=5, wake_s=20)
    jobs = [Job(0, 1, 20, 20), Job(25, 2, 99, 99), Job(26, 1, 9, 9), Job(28, 1, 9, 9)]
    runs = simulate(jobs, partition, Policy(sleep_after_s=10))
    assert [each.start_s for each in runs] == [0, 25, 46, 46]
    # Of three nodes, the first two asleep, the third idle since 20: the second job has node 2 at
    # 25, the third wakes node 0 for one processor, and the fourth takes the other there and one of
    # node 1, which wakes from 27 until 47.
    jobs = [Job(0, 4, 1, 1), Job(0, 1, 20, 20), Job(25, 2, 99, 99), Job(26, 1, 9, 9)]
    jobs += [Job(27, 2, 9, 9)]
    runs = simulate(jobs, replace(partition, nodes=3, procs=6), Policy(sleep_after_s=10))
    assert [each.start_s for each in runs] == [0, 0, 25, 46, 47]


@pytest.mark.parametrize(("length", "start_s"), [(40, 60), (41, 130)])
def test_a_backfilled_jobs_waking_counts(length: float, start_s: float) -> None:
    # Nodes 1 and 2 sleep from 10. The head waits for all 3 until 100. A job chosen at 40 wakes a
    # node until 60, and 60 + 40 = 100 is in time, 101 is not. The head itself wakes a node until
    # 120 and ends at 130.
    jobs = [Job(0, 1, 100, 100), Job(30, 3, 10, 10), Job(40, 1, length, length)]
    runs = simulate(jobs, sleepers(3, 0, 20), Policy(backfill="easy", sleep_after_s=10))
    assert [each.start_s for each in runs] == [0, 120, start_s]


# Power cap


ROUND = Partition(
    nodes=2, procs=2, idle_w=10, busy_w=110, sleep_w=0, fall_asleep_w=20, wake_w=10, wake_s=30
)


def test_a_cap_lets_one_job_wait_for_another() -> None:
    # Two idle nodes draw 20 W, a job adds 100 W: 120 W are enough for one, 220 W for two. Measured
    # at 60 W a job adds 50.
    pair = [Job(0, 1, 10, 10)] * 2
    runs = simulate(pair, ROUND, Policy(power_cap_w=120))
    assert [each.start_s for each in runs] == [0, 10]
    assert waited_for(runs[1]) == {"cap": 10}
    assert [each.start_s for each in simulate(pair, ROUND, Policy(power_cap_w=220))] == [0, 0]
    assert [each.start_s for each in simulate(pair, ROUND, Policy(power_cap_w=219))] == [0, 10]
    lower = [replace(job, power_w=60.0) for job in pair]
    assert [each.start_s for each in simulate(lower, ROUND, Policy(power_cap_w=120))] == [0, 0]


def test_a_backfilled_job_must_leave_the_head_its_watts() -> None:
    # 4 nodes idle at 40 W, cap 240 W: 200 W for jobs. Until 10 the first draws 150 W; the head
    # needs 100 W and 1 processor. A job that adds 50 W and lasts fits now (50 W are left); at 10
    # there are 200 - 100 = 100 W extra, so it may start, and so may not another (60 W), which
    # waits until the head ends at 15: then 200 - 50 W are left.
    partition = replace(ROUND, nodes=4, procs=4)
    jobs = [
        Job(0, 1, 10, 10, power_w=160),
        Job(1, 1, 5, 5, power_w=110),
        Job(2, 1, 99, 99, power_w=60),
        Job(2, 1, 99, 99, power_w=70),
    ]
    runs = simulate(jobs, partition, Policy(backfill="easy", power_cap_w=240))
    assert [each.start_s for each in runs] == [0, 10, 2, 15]
    assert waited_for(runs[3]) == {"cap": 13}


def test_a_node_that_is_fully_asleep_makes_room_under_the_cap() -> None:
    # Three nodes count 20 W each (falling asleep), fully asleep 0. The cap is 250 W, a job adds
    # 100. All awake, two jobs need 260 W. From 15 two nodes are asleep: 250 - 20 - 100 = 130 W
    # are left, and the second job takes 100 and wakes a node (20). It starts at 45.
    partition = replace(ROUND, nodes=3, procs=3, fall_asleep_s=5)
    jobs = [Job(0, 1, 100, 100), Job(1, 1, 20, 20)]
    runs = simulate(jobs, partition, Policy(power_cap_w=250, sleep_after_s=10))
    assert [each.chosen_s for each in runs] == [0, 15]
    assert [each.start_s for each in runs] == [0, 45]
    assert waited_for(runs[1]) == {"cap": 14, "waking": 30}


def test_a_job_counts_at_least_with_the_waking_of_its_nodes() -> None:
    # Waking draws 100 W more than the floor of 20. A job that adds 30 W counts with 100: with a
    # cap of 239 W two of them do not fit on two nodes (40 + 200), although both nodes are awake.
    partition = replace(ROUND, wake_w=120)
    jobs = [Job(0, 1, 10, 10, power_w=40)] * 2
    for cap_w, expected in ((239, [0, 10]), (240, [0, 0])):
        runs = simulate(jobs, partition, Policy(power_cap_w=cap_w, sleep_after_s=100))
        assert [each.start_s for each in runs] == expected


def test_a_job_runs_at_the_highest_frequency_that_fits() -> None:
    # The second job adds 100 W at full frequency and 0.5 ** 2 * 100 = 25 W at half, where it takes
    # 1 + 1 = 2 times as long. The cap leaves 145 - 20 - 100 = 25 W.
    dvfs = Dvfs(levels=(1.0, 0.5), beta=1, exponent=2)
    runs = simulate([Job(0, 1, 10, 10)] * 2, ROUND, Policy(power_cap_w=145, dvfs=dvfs))
    assert [each.frequency for each in runs] == [1, 0.5]
    assert [each.end_s for each in runs] == [10, 20]


def test_a_backfilled_job_may_be_in_time_only_at_the_higher_frequency() -> None:
    # 3 nodes idle at 30 W, cap 230 W: 200 W for jobs, 100 for the first until 100. The head wants
    # 3 processors, 75 W at the lowest frequency, at 100. The third job would take 100 W for 50 s
    # (2 + 50 is in time) at full frequency; the fourth finds no watts left at any level and, once
    # the third has ended at 52, may take 100 W until 92 (40 s).
    dvfs = Dvfs(levels=(1.0, 0.5), beta=1, exponent=2)
    partition = replace(ROUND, nodes=3, procs=3)
    jobs = [Job(0, 1, 100, 100), Job(1, 3, 10, 10), Job(2, 1, 50, 50), Job(2, 1, 40, 40)]
    policy = Policy(backfill="easy", power_cap_w=230, dvfs=dvfs)
    runs = simulate(jobs, partition, policy)
    assert [each.start_s for each in runs] == [0, 100, 2, 52]
    assert [each.frequency for each in runs] == [1, 0.5, 1, 1]
    assert [waited_for(each) for each in runs] == [{}, {"resources": 99}, {}, {"cap": 50}]


# Carbon hold


def rows(*values: tuple[float, ...]) -> Forecast:
    return Forecast(origin_s=0, gco2_per_kwh=values)


def test_a_job_is_held_for_a_cleaner_half_hour() -> None:
    # 100 now, 50 from 1800: held until then, when nothing later is cleaner.
    forecast = rows((100, 50, 100), (50, 100, 100))
    (only,) = run([Job(0, 1, 600, 600)], 1, forecast=forecast, hold=CarbonHold(3600, 0.49))
    assert (only.start_s, only.held_s, waited_for(only)) == (1800, 1800, {"hold": 1800})
    (only,) = run([Job(0, 1, 600, 600)], 1, forecast=forecast, hold=CarbonHold(3600, 0.5))
    assert only.start_s == 0  # 50 is not below half of 100


def test_holds_end_with_the_budget() -> None:
    # The clean half-hour begins at 3600: the job is held twice, and its budget is spent then.
    forecast = rows((100, 100, 10), (100, 10, 10), (10, 1, 1))
    for budget_s, start_s in ((3599, 0), (3600, 3600)):
        (only,) = run([Job(0, 1, 600, 600)], 1, forecast=forecast, hold=CarbonHold(budget_s))
        assert (only.start_s, only.held_s) == (start_s, start_s)


def test_a_held_job_blocks_nobody() -> None:
    # The first job is held at 0. The second, of three half-hours, would meet (100 + 50 + 100) / 3
    # now and the same from 1800 on: it starts. At 1800 the first waits for it, until 5401.
    forecast = rows((100, 50, 100, 100), (50, 100, 100, 100), (100,) * 4, (100,) * 4)
    jobs = [Job(0, 1, 600, 600), Job(1, 2, 5400, 5400)]
    runs = run(jobs, 2, forecast=forecast, hold=CarbonHold(7200))
    assert [each.start_s for each in runs] == [5401, 1]
    assert waited_for(runs[0]) == {"hold": 1800, "resources": 3601}


def test_a_starving_job_is_not_held() -> None:
    # At 1800 the second job could wait for 10; it has waited for 1800 s already.
    forecast = rows((100, 100), (100, 10))
    jobs = [Job(0, 1, 1800, 1800), Job(0, 1, 600, 600)]
    for max_wait_s, start_s in ((1799, 1800), (1800, 3600)):
        runs = run(jobs, 1, forecast=forecast, hold=CarbonHold(7200), max_wait_s=max_wait_s)
        assert [each.start_s for each in runs] == [0, start_s]


# Why a job waited


@pytest.mark.parametrize(("backfill", "why"), [("none", "order"), ("easy", "reservation")])
def test_causes_follow_one_another(backfill: str, why: str) -> None:
    # The last job fits beside the first from 2 to 10, but stands behind the second (or would delay
    # it); from 10 to 15 the second takes everything.
    jobs = [Job(0, 3, 10, 10), Job(1, 4, 5, 5), Job(2, 1, 100, 100)]
    runs = run(jobs, 4, backfill=backfill)
    assert [each.start_s for each in runs] == [0, 10, 15]
    assert [waited_for(each) for each in runs] == [{}, {"resources": 9}, {why: 8, "resources": 5}]
