"""Units of work: kept when finished, made again when what they depend on changed."""

from pathlib import Path

import pandas as pd
import pytest

from exawatt.experiment import StaleError, units
from exawatt.experiment.code import fingerprint
from exawatt.experiment.units import Units

MODULE = "exawatt.stats"


class Maker:
    """Counts how often it is called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> pd.DataFrame:
        self.calls += 1
        frame = pd.DataFrame({"crps": [1 / 3, 2.0]}, index=[4, 7])
        frame.attrs["cpu_s"] = 1.5
        return frame


def test_a_unit_is_made_once(tmp_path: Path) -> None:
    make, said = Maker(), []
    for _ in range(2):
        kept = Units(tmp_path, fingerprint([MODULE]), said.append)
        found = kept.get("log, LAST2", [MODULE], ("sha", 1), make)
        pd.testing.assert_frame_equal(found, Maker()())
        assert found.attrs["cpu_s"] == 1.5
        assert kept.cpu_s >= 0
        assert len(kept.hardware) == 1
    assert make.calls == 1
    assert len(said) == 1


def test_a_unit_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Maker()
    kept = Units(tmp_path, fingerprint([MODULE, "exawatt.units"]), lambda line: None)
    kept.get("log", [MODULE], 1, make)
    kept.get("log", [MODULE], 2, make)
    kept.get("log", [MODULE, "exawatt.units"], 2, make)
    monkeypatch.setattr(units, "versions", lambda packages: {"numpy": "9.0"})
    kept.get("log", [MODULE, "exawatt.units"], 2, make)
    assert make.calls == 4
    # The ones before are gone; those of other names are not.
    kept.get("log 2", [MODULE], 2, make)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_unit_that_was_interrupted_is_not_kept(tmp_path: Path) -> None:
    def interrupted() -> pd.DataFrame:
        raise KeyboardInterrupt

    kept, make = Units(tmp_path, fingerprint([MODULE]), lambda line: None), Maker()
    with pytest.raises(KeyboardInterrupt):
        kept.get("log", [MODULE], 1, interrupted)
    kept.get("log", [MODULE], 1, make)
    assert make.calls == 1


@pytest.mark.parametrize("code", [{MODULE: "other"}, {}])
def test_code_that_changed_meanwhile_is_refused(code: dict[str, str], tmp_path: Path) -> None:
    # What this process runs is the code it read at first, not the code that lies there now.
    kept = Units(tmp_path, code, lambda line: None)
    with pytest.raises(StaleError, match=r"exawatt\.stats changed while this ran"):
        kept.get("log", [MODULE], 1, Maker())
