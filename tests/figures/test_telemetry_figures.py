"""Chapter 5: the simulated sensor is the one described, and nothing fails without its data."""

from pathlib import Path

import numpy as np
import pytest
from builders import make_workload

import exawatt as ew
from exawatt.figures import measured, powermodels, privacy, simulated, sums, telemetry
from exawatt.platform import Platform
from exawatt.telemetry.attack import linkage
from exawatt.telemetry.energy import energy
from exawatt.telemetry.powermodel import NodePower, to_platform


def test_a_counter_of_32_bits_lasts_as_long_as_its_unit_and_the_power_say() -> None:
    table = telemetry.wraps().set_index("unit [µJ]")
    # 65,536 J at 250 W are 262.144 s.
    assert table["at 250 W [min]"].iloc[0] == pytest.approx(262.144 / 60)
    assert table["range [kJ]"].tolist() == pytest.approx([65.536, 262.144])
    assert telemetry.hour_of_wraps(250.0) == pytest.approx((900e3, 900e3, 900e3 - 13 * 65_536))
    # Below one turn an hour, nothing can go wrong.
    assert telemetry.hour_of_wraps(10.0) == pytest.approx((36e3, 36e3, 36e3))


def test_the_simulated_sensor_shows_the_last_look_and_the_mean_of_ten(tmp_path: Path) -> None:
    # 100 W for 5 s, then 300 W: looks of 25 ms each 100 ms, 30 ms after the ticks.
    power_w = np.repeat([100.0, 300.0], 5000)
    rows = simulated.simulate(power_w, tmp_path / "a.csv").rows(0).set_index("monotonic_ns")
    at = rows.loc[[5_000_000_000, 5_100_000_000, 5_600_000_000, 6_100_000_000]]
    # At 5.1 s the last look was from 5.005 to 5.03 s: whole in the new power.
    assert at["instant_power_w"].tolist() == [100, 300, 300, 300]
    # At 5.6 s six of the last ten looks were.
    assert at["power_w"].tolist() == [100, 120, 220, 300]
    # The newest step is of 5.03 s and tells of 100 ms before: 4.93 s.
    told = at["energy_mj"].diff().iloc[1]
    assert told == 100 * 100 == 10_000


def test_a_counter_in_time_is_exact_between_its_steps(tmp_path: Path) -> None:
    power_w = np.full(20_000, 200.0)
    one = simulated.simulate(power_w, tmp_path / "a.csv", late_steps=0)
    start = simulated.instant_ns(0.0)
    found = energy(one, 0, start + 5 * 10**9, start + 15 * 10**9, method="counter")
    assert found.energy_j == pytest.approx(2000.0)


def test_true_energy_is_that_of_the_power_also_before_it_begins() -> None:
    power_w = np.array([10.0, 10.0, 40.0, 40.0])
    moments = np.array([-0.001, 0.0, 0.002, 0.003, 0.004])
    found = simulated.true_j(power_w, moments)
    assert found == pytest.approx([-0.01, 0.0, 0.02, 0.06, 0.10])


def test_runs_find_what_the_chapter_says_of_them(tmp_path: Path) -> None:
    facts = telemetry.run_facts(telemetry.runs(tmp_path, seed=3, effort="test"))
    # A step late on average one and a half steps of (320 - 60) W out of 160 J in half a second.
    assert facts["late_half"] == pytest.approx(100 * 0.15 * 260 / 160, abs=2)
    assert facts["in_time_half"] == pytest.approx(100 * 0.05 * 260 / 160, abs=2)
    assert facts["burst_first"] > 80
    assert facts["burst_first_mean"] < 25
    # Busy half of the sensor's own period: one phase sees all of it busy, another none.
    assert facts["cycled_worst"] > 60
    assert facts["cycled_mean"] < 20


def test_recordings_are_listed_where_there_are_any(tmp_path: Path) -> None:
    assert measured.recordings(tmp_path).empty
    simulated.simulate(np.full(20_000, 200.0), tmp_path / "run.csv")
    table = measured.recordings(tmp_path)
    assert table["recording"].tolist() == ["run"]
    assert table["device"].tolist() == ["device 0"]
    assert table["mean power [W]"].tolist() == pytest.approx([200.0])
    assert table["by counter [J]"].tolist() == pytest.approx([200 * 19.9])


def test_nothing_fails_without_the_published_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXAWATT_DATA", raising=False)
    assert measured.measured("full") == {}
    figures = [
        powermodels.dahu_figure(None, None),
        powermodels.argo_figure(None),
        powermodels.zeus_figure({}, {}),
        sums.singles_figure(None, None),
    ]
    assert {figure.axes[0].texts[0].get_text() for figure in figures} == {measured.ABSENT}
    table = powermodels.held_out_table(None, {}, None)
    assert table.empty
    facts = powermodels.held_out_facts(table, {})
    facts |= powermodels.dahu_facts(None, None, None) | sums.single_facts(None, None)
    assert set(facts.values()) == {"–"}


def test_at_effort_test_no_measurements_are_read(real_data: Path) -> None:
    assert measured.measured("test") == {}
    assert "Dahu" in measured.measured("full")


def test_single_jobs_and_sums(real_data: Path) -> None:
    here = measured.measured("full")
    tables = measured.read({name: here[name] for name in ("Kabré", "Acme")})
    facts = sums.single_facts(sums.kabre_told(tables["Kabré"]), tables["Acme"])
    assert facts["kabre_median"] == "34"
    assert float(facts["kabre_correlation"]) > 0.99
    assert (facts["acme_told"], facts["acme_mean"]) == ("190", "192")


def test_fitted_watts_keep_the_schedule_and_change_the_energy() -> None:
    # One of two nodes busy for an hour: 0.5 of the machine idle.
    schedule = ew.replay(make_workload([(0.0, 1, 3600.0, 3600.0)], 2), "easy")
    node = NodePower(20.0, 220.0, np.array([[20.0, 220.0]]), 5.0, (1.0, 1.0), "Dahu (abc)")
    machine = Platform.stand_in(schedule.workload)
    table = powermodels.fitted_watts(schedule, [machine, to_platform(machine, node)])
    assert table["energy [MWh]"].tolist() == pytest.approx([285.738e-6, 240e-6])
    assert table["of it idle processors"].tolist() == pytest.approx([95 / 285.738, 20 / 240])
    facts = powermodels.watts_facts(table)
    assert facts["fitted_changes"] == "-16% with those of Dahu"
    assert facts["dahu_ratio"] == "0.09"


def test_plain_hashes_fall_and_keyed_ones_do_not(tmp_path: Path) -> None:
    table = privacy.attack(40, tmp_path, seed=1, effort="test")
    assert table["names found"].tolist() == [1.0, 1.0, 0.0]
    assert list(tmp_path.iterdir()) == []  # the key is gone


def test_releases_satisfy_what_their_table_says(tmp_path: Path) -> None:
    trace = ew.load("tiny")
    found = privacy.releases(trace, tmp_path)
    assert [release.name for release in found] == ["k = 2", "k = 5", "k = 10", "k = 5, time too"]
    for release in found:
        assert release.workload is not None
        after = linkage(release.workload.jobs, release.known)
        assert (after.unique, after.one_user) == (0, 0)
    assert list(tmp_path.glob("*.key")) == []
    table = privacy.release_table(found)
    assert table["jobs alone"].str.contains("→ 0.0%", regex=False).all()
    replayed = privacy.utility(trace, found, seed=1)
    assert replayed["mean wait [h]"].iloc[0] == pytest.approx(13157.2222 / 3600)
    assert privacy.utility_facts(replayed)["wait_trace"] == "3.65"


def test_a_trace_that_cannot_be_published_gives_dashes(tmp_path: Path) -> None:
    trace = make_workload([(float(i), 1, 60.0, 60.0) for i in range(20)], 4)  # nobody is known
    found = privacy.releases(trace, tmp_path)
    table = privacy.release_table(found)
    assert set(table["processors"]) == {"nothing left"}
    assert set(privacy.linkage_facts(found).values()) == {"–"}
    figure = privacy.singled_out_figure(trace, found)
    assert figure.axes[0].texts[0].get_text() == "Nothing could be published of this trace."
    replayed = privacy.utility(trace, found, seed=1)
    assert replayed["mean wait [h]"].notna().sum() == 2


def test_orders_of_a_minute_differ_and_keep_every_job() -> None:
    jobs = [(0.0, 1, 60.0, 60.0), (0.0, 2, 120.0, 120.0), (60.0, 1, 60.0, 60.0)]
    orders = privacy._orders(make_workload(jobs, 4), seed=1)
    firsts = {int(order.jobs["procs"].iloc[0]) for order in orders}
    assert firsts == {1, 2}
    for order in orders:
        assert order.jobs["submit_s"].is_monotonic_increasing
        assert sorted(order.jobs["runtime_s"]) == [60, 60, 120]
