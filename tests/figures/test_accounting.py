"""One job by several accountants: literal sums, and what codecarbon really does."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import exawatt as ew
from exawatt.figures import accounting
from exawatt.power import PowerProfile

START = pd.Timestamp("2023-03-06 00:00", tz="UTC")  # a Monday
#: What codecarbon's data file says of the United Kingdom in 2023 [gCO2e/kWh].
FACTOR = 237.589
METHODS = [
    "exact",
    "brute force, second by second",
    "energy × mean of the window",
    "energy × mean of the day",
    "energy × value at the start (as carbontracker)",
    "energy × trapezoid over the window (as CATS)",
    "energy × mean of the series",
    "codecarbon (its constant, life cycle)",
]


def by_hand() -> tuple[PowerProfile, ew.Intensity]:
    """1 kW for half an hour at 100 g, then 3 kW for half an hour at 300 g, of a day at 500 g."""
    grams = np.full(3 * 48, 500.0)
    grams[[40, 41, 42]] = 100, 300, 200
    edges_s, watts = np.array([0.0, 1800, 3600]), np.array([1000.0, 3000])
    start = START + pd.Timedelta(hours=20)
    return PowerProfile(edges_s, watts, start=start), ew.Intensity(START, grams, timezone="UTC")


def test_every_method_by_hand() -> None:
    table = accounting.methods(*by_hand()).set_index("method")
    assert list(table.index) == METHODS
    # 0.5 kWh and 1.5 kWh; points at 100, 300 and 200 g are joined by straight lines.
    day, series = (45 * 500 + 600) / 48, (141 * 500 + 600) / 144
    grams = [2 * 200, 2 * day, 2 * 100, 200 + 250, 2 * series, 2 * FACTOR]
    expected = np.array([500, 500, *grams]) / 1e3
    assert_allclose(table["carbon [kg]"], expected, rtol=1e-12)
    assert_allclose(table["error"], expected / 0.5 - 1, atol=1e-12)


def test_the_job_on_the_tiny_series() -> None:
    table = accounting.methods(accounting.evening_job(), ew.load_intensity("tiny"))
    found = table.set_index("method")["error"]
    # 120 W to 400 W over six hours are 1.56 kWh; half-hours at 156 … 217 g, seen in the file.
    grams = np.array([156, 157, 159, 162, 167, 173, 179, 187, 195, 203, 210, 217])
    watts = 120 + 280 * (np.arange(12) + 0.5) / 12
    assert_allclose(table["carbon [kg]"].iloc[0], (watts * grams).sum() / 2e6, rtol=1e-9)
    assert abs(found["brute force, second by second"]) < 1e-8
    assert found["energy × mean of the window"] == pytest.approx(-0.03378, abs=1e-5)
    assert found["energy × value at the start (as carbontracker)"] == pytest.approx(
        156 * 1.56 / (watts * grams).sum() * 2e3 - 1
    )


def test_the_job_on_the_real_series(real_data: Path) -> None:
    table = accounting.methods(accounting.evening_job(), ew.load_intensity("GB-2023"))
    # Half-hours from 12:00Z on, read from the service's history.
    grams = np.array([76, 81, 88, 101, 124, 143, 169, 187, 196, 209, 217, 221])
    watts = 120 + 280 * (np.arange(12) + 0.5) / 12
    assert_allclose(table["carbon [kg]"].iloc[0], (watts * grams).sum() / 2e6, rtol=1e-9)
    errors = [0, 0, -0.097, -0.279, -0.546, -0.062, -0.092, 0.420]
    assert_allclose(table["error"], errors, atol=5e-4)


@pytest.mark.parametrize("loss", [1.0, 1.5])
def test_all_methods_take_the_energy_of_the_facility(loss: float) -> None:
    job, intensity = by_hand()
    more = PowerProfile(job.edges_s, job.watts, pue=loss, start=job.start)
    one, other = (accounting.methods(each, intensity)["carbon [kg]"] for each in (job, more))
    assert_allclose(other, loss * one)


def test_the_tracker_reads_steady_power_exactly_and_aliases_bursts() -> None:
    steady = PowerProfile(np.array([0.0, 60.0]), np.array([600.0]))
    assert accounting.codecarbon_kwh(steady) == pytest.approx(0.01, rel=1e-9)
    # Busy whenever it looks, at each whole second: 400 W for 400 and 120 W in turn.
    aliased = accounting.bursts(0.5, 0.5, duration_s=60)
    assert aliased.energy_kwh == pytest.approx(0.260 / 60)
    last = 280 / 60 / 60  # the reading at the very end finds it idle
    assert accounting.codecarbon_kwh(aliased) * 60 / 0.4 == pytest.approx(1, abs=2 * last)


def test_the_tracker_reads_what_is_left_after_its_last_quarter_of_a_minute() -> None:
    steady = PowerProfile(np.array([0.0, 70.0]), np.array([600.0]))
    assert accounting.codecarbon_kwh(steady) == pytest.approx(0.6 * 70 / 3600, rel=1e-9)


def test_bursts_last_as_long_as_asked() -> None:
    drawn = accounting.bursts(5, 5, drawn=True, duration_s=600)
    assert drawn.edges_s[[0, -1]].tolist() == [0, 600]
    assert set(drawn.watts) == {accounting.IDLE_W, accounting.BUSY_W}
    even = accounting.bursts(0.5, 0.5, duration_s=600)
    assert even.energy_kwh == pytest.approx(0.260 / 6)


ALONE = """
import os, sys
import exawatt as ew
import exawatt.figures.accounting as accounting
assert not any(name.startswith("codecarbon") for name in sys.modules)

def watch(event, arguments):
    reaches_out = event in ("socket.connect", "socket.getaddrinfo", "socket.sendto")
    name = arguments[0] if event == "open" else None
    writes = isinstance(name, str) and any(mode in (arguments[1] or "") for mode in "wax+")
    if reaches_out or (writes and name != os.devnull):
        sys.stderr.write(f"{event} {arguments}\\n")
        os._exit(3)

sys.addaudithook(watch)
print(accounting.codecarbon_kgco2e(1000.0))
print(accounting.codecarbon_kwh(accounting.bursts(1, 1, duration_s=30)))
"""


def test_codecarbon_needs_no_network_and_leaves_no_file(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    # A user's own settings must not change a figure.
    settings = tmp_path / ".codecarbon.config"
    settings.write_text(
        "[codecarbon]\npue=9\nforce_carbon_intensity_g_co2e_kwh=1\nmeasure_power_secs=1000\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", ALONE],
        cwd=tmp_path, env=home, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    carbon, energy = map(float, run.stdout.split())
    assert carbon == pytest.approx(FACTOR)
    assert 0 < energy < 0.4 * 30 / 3600
    assert list(tmp_path.iterdir()) == [settings]


LOST = """
from codecarbon.external.geography import GeoMetadata
from codecarbon.input import DataSource
print(GeoMetadata.from_geo_js(DataSource().geo_js_url).region)
"""


def test_codecarbon_believes_itself_in_quebec_where_it_finds_no_network() -> None:
    closed = {"HTTPS_PROXY": "http://127.0.0.1:9", "PATH": "/usr/bin:/bin"}
    run = subprocess.run(
        [sys.executable, "-c", LOST],
        env=closed, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert run.stdout == "quebec\n"
