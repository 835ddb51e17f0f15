"""What caps and holds do to EASY, as the prose tells it."""

import pandas as pd
import pytest

from exawatt.figures.causes import effects


def test_effects_are_relative_to_easy_on_the_same_trace() -> None:
    rows = [
        ("A", "EASY", 200.0, 50.0, 3.0),
        ("A", "EASY, cap and DVFS", 150.0, 40.0, 105.0),
        ("A", "EASY, carbon hold", 200.0, 49.0, 900.0),
        ("B", "EASY", 1.0, 1.0, 1.0),
    ]
    columns = ["trace", "policy", "total [MWh]", "carbon [tCO₂e]", "mean slowdown"]
    found = effects(pd.DataFrame(rows, columns=columns), {"first": "A"})
    assert found == pytest.approx(
        {
            "first_easy_slowdown": 3.0,
            "first_cap_slowdown": 105.0,
            "first_cap_times": 35.0,
            "first_cap_energy": 25.0,
            "first_cap_carbon": 20.0,
            "first_hold_slowdown": 900.0,
            "first_hold_times": 300.0,
            "first_hold_energy": 0.0,
            "first_hold_carbon": 2.0,
        }
    )
