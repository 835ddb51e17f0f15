"""Days and weeks in figures begin at midnight on the machine's clock, which is set twice a year."""

import numpy as np
import pandas as pd
import pytest
from builders import make_workload

import exawatt as ew
from exawatt.figures.replay import busiest_day_s, day_bins_s

HOUR_S = 3600.0


def schedule_from(start: str, timezone: str, submit_h: list[float]) -> ew.Schedule:
    """Schedule of jobs of an hour that start when they are submitted."""
    jobs = [(hours * HOUR_S, 1, HOUR_S, HOUR_S) for hours in submit_h]
    moment = pd.Timestamp(start).tz_convert("UTC")
    return ew.replay(make_workload(jobs, 8, start=moment, timezone=timezone), "fcfs")


@pytest.mark.parametrize(
    ("start", "timezone", "expected_h"),
    [
        # Clocks were set back at 3:00 on 27 October 1996: that Sunday has 25 hours.
        ("1996-10-26 12:00+02:00", "Europe/Stockholm", [-12, 12, 37, 61]),
        # They were set ahead at 2:00 on 30 March 1997: that Sunday has 23 hours.
        ("1997-03-29 12:00+01:00", "Europe/Stockholm", [-12, 12, 35, 59]),
        # There they are set ahead at midnight, and Sunday 4 November 2018 begins at 1:00.
        ("2018-11-03 12:00-03:00", "America/Sao_Paulo", [-12, 12, 35, 59]),
        # There they are set back at 1:00, and Sunday 28 October 2018 has two midnights.
        ("2018-10-27 12:00+00:00", "Atlantic/Azores", [-12, 12, 37, 61]),
        ("2001-01-01 12:00+00:00", "UTC", [-12, 12, 36, 60]),
    ],
)
def test_bins_begin_at_local_midnights(start: str, timezone: str, expected_h: list[float]) -> None:
    schedule = schedule_from(start, timezone, [0.0, 40.0])
    bins = day_bins_s(schedule, (0.0, 50 * HOUR_S))
    np.testing.assert_array_equal(bins / HOUR_S, expected_h)


def test_bins_of_a_week_begin_at_local_midnights() -> None:
    schedule = schedule_from("1996-10-26 12:00+02:00", "Europe/Stockholm", [0.0, 300.0])
    bins = day_bins_s(schedule, (0.0, 300 * HOUR_S), 7)
    np.testing.assert_array_equal(bins / HOUR_S, [-12, 7 * 24 - 11, 14 * 24 - 11])


def test_a_window_that_ends_at_midnight_has_no_bin_beyond() -> None:
    schedule = schedule_from("2001-01-01 00:00+00:00", "UTC", [0.0, 47.0])
    bins = day_bins_s(schedule, (0.0, 48 * HOUR_S))
    np.testing.assert_array_equal(bins / HOUR_S, [0, 24, 48])


def test_the_busiest_day_after_a_clock_change_is_a_whole_local_day() -> None:
    # Midnight of 19 December 1996 in Stockholm is 53 days and 13 hours after this noon; the job
    # of 23:30 on the 18th belongs to the day before.
    midnight_h = 53 * 24 + 13.0
    hours = [0.0, midnight_h - 0.5, midnight_h + 1, midnight_h + 23.5]
    schedule = schedule_from("1996-10-26 12:00+02:00", "Europe/Stockholm", hours)
    first, last = busiest_day_s(schedule)
    assert (first / HOUR_S, last / HOUR_S) == (midnight_h, midnight_h + 24)
    assert schedule.workload.start is not None
    moment = schedule.workload.start + pd.Timedelta(seconds=first)
    assert str(moment.tz_convert("Europe/Stockholm")) == "1996-12-19 00:00:00+01:00"


def test_the_busiest_day_is_as_long_as_its_clock_made_it() -> None:
    schedule = schedule_from("1996-10-26 12:00+02:00", "Europe/Stockholm", [0.0, 13.0, 14.0])
    assert busiest_day_s(schedule) == (12 * HOUR_S, 37 * HOUR_S)


def test_a_trace_without_a_start_begins_on_a_monday() -> None:
    jobs = [(hours * HOUR_S, 1, HOUR_S, HOUR_S) for hours in (0.0, 30.0)]
    schedule = ew.replay(make_workload(jobs, 8), "fcfs")
    bins = day_bins_s(schedule, (0.0, 30 * HOUR_S))
    np.testing.assert_array_equal(bins / HOUR_S, [0, 24, 48])
