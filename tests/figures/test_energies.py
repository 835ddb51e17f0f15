"""Figures of energy prediction: what they draw, and what they do without data."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from exawatt.figures import energies
from exawatt.predict.applications import MOVED, POOLED, PROCESS


@pytest.fixture
def errors() -> pd.DataFrame:
    rows = [
        {"application": name, "k": k, "draw": 0, "method": method, "error": error * scale}
        for name, scale in (("a/x/o/G", 1.0), ("a/x/o/H", 2.0), ("b/y/o/G", 4.0))
        for k in (5, 20)
        for method, error in ((POOLED, 0.2), (MOVED, 0.1), (PROCESS, 0.5 / k))
    ]
    return pd.DataFrame(rows)


def test_the_table_by_hand(errors: pd.DataFrame) -> None:
    table = energies.few_shot_table(errors).set_index(["method", "runs known"])
    assert table.loc[(PROCESS, 20), "median error [ln]"] == pytest.approx(0.05)
    assert table.loc[(PROCESS, 20), "of pooled"] == pytest.approx(0.125)
    assert table.loc[(MOVED, 5), "to"] == pytest.approx(0.5)
    assert np.isnan(table.loc[(POOLED, 5), "of pooled"])


def test_a_line_of_each_method_and_half_the_pooled_error(errors: pd.DataFrame) -> None:
    figure = energies.few_shot_figure(errors)
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    np.testing.assert_allclose(lines[PROCESS].get_xydata(), [(5, 0.2), (20, 0.05)])
    np.testing.assert_allclose(lines["half of it"].get_ydata(), 0.2)
    plt.close(figure)


def test_without_data_the_figures_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXAWATT_DATA", str(tmp_path))
    assert energies.few_shot_errors("test") is None
    assert energies.logged_trial("test") is None
    for figure in (energies.few_shot_figure(None), energies.energy_figure(None)):
        assert energies.ABSENT in figure.axes[0].texts[0].get_text()
        plt.close(figure)


def test_real_data_at_the_least_effort(real_data: Path) -> None:
    trial = energies.logged_trial("test")
    assert trial is not None
    assert len(energies.energy_table(trial)) == 4
    figure = energies.energy_figure(trial)
    measured, predicted = figure.axes[0].get_lines()[0].get_data()
    np.testing.assert_allclose(measured, trial.energy_j / 3600)
    np.testing.assert_allclose(predicted, trial.predictions["surrogate"].median / 3600)
    plt.close(figure)
    found = energies.few_shot_errors("test")
    assert found is not None
    assert found["application"].nunique() == 2


def test_the_prose_is_told_of_what_is_there(errors: pd.DataFrame) -> None:
    told = energies.facts(None, errors)
    assert told["energy_crps"] == "–"
    assert told["few_applications"] == "3"
    assert told["few_k"] == "20"
    assert float(told["few_ratio"]) == pytest.approx(0.125, abs=0.006)
    assert (told["few_least_k"], told["few_least_ratio"]) == ("5", "0.50")
    assert told["few_moved_ratio"] == "0.50"
    assert set(energies.facts(None, None)) == set(told)
