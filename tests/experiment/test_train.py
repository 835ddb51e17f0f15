"""The script behind ``make train``: what it writes is what chapters load."""

import importlib.util
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest
from builders import SWF_HEADER

from exawatt.experiment import load, save
from exawatt.experiment.units import Units
from exawatt.readers import catalog
from exawatt.readers.catalog import REPOSITORY, Entry
from exawatt.workload import Workload

ROW = "1 0 0 60 2 -1 -1 2 60 -1 1 7 1 1 1 1 -1 -1\n"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the script, with a module that makes one small table of one small log."""

    def make(workloads: dict[str, Workload], units: Units) -> dict[str, pd.DataFrame]:
        jobs = {name: len(workload) for name, workload in workloads.items()}
        frame = pd.DataFrame({"log": list(jobs), "jobs": list(jobs.values())})
        return {"jobs": units.get("jobs", ["exawatt.stats"], jobs, lambda: frame)}

    (tmp_path / "log.swf").write_text(SWF_HEADER + ROW)
    entry = Entry("Log", str(tmp_path / "log.swf"), "free")
    monkeypatch.setattr(catalog, "catalog", lambda kind: {"Log": entry})
    path = REPOSITORY / "experiments" / "train_prediction.py"
    spec = importlib.util.spec_from_file_location("train_prediction", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = SimpleNamespace(
        __name__="exawatt.experiment.prediction", LOGS=("Log",), SETTINGS={"seeds": (0,)}, make=make
    )
    monkeypatch.setattr(module, "import_module", lambda name: made)
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    monkeypatch.setattr(module, "save", partial(save, folder=tmp_path))
    return module


def test_it_writes_what_chapters_load(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.train("fit")
    assert capsys.readouterr().out.splitlines()[-1].startswith("wrote fit, ")
    result = load("fit", tmp_path)
    assert result["jobs"].to_dict("list") == {"log": ["Log"], "jobs": [1]}
    manifest = result.manifest
    assert {script.SCRIPT, "exawatt.predict.neighbours", "exawatt.replay"} <= set(manifest.code)
    # What keeps tables is no part of what is in them, nor is what the package does besides.
    assert not {"exawatt.experiment.units", "exawatt", "exawatt.power"} & set(manifest.code)
    assert manifest.settings == {"seeds": [0]}
    assert str(tmp_path) not in (tmp_path / "fit" / "manifest.json").read_text()


def test_it_needs_the_real_logs(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "log.swf").unlink()
    with pytest.raises(SystemExit, match="fit needs the real logs Log; see"):
        script.train("fit")


def test_an_interruption_says_how_to_go_on(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "train", interrupted)
    monkeypatch.setattr("sys.argv", ["train_prediction.py"])
    with pytest.raises(SystemExit, match="run it again to go on"):
        script.main()
