"""Stored results: read back as written, refused when what they depend on changed."""

import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import SWF_HEADER

import exawatt as ew
from exawatt.experiment import Input, Manifest, StaleError, load, save
from exawatt.experiment.contents import contents
from exawatt.experiment.results import RESULTS, code_of
from exawatt.readers import catalog
from exawatt.readers.catalog import REPOSITORY

COMMITTED = sorted(path.parent.name for path in RESULTS.glob("*/manifest.json"))
SCRIPT = "experiments/fit.py"
MODULE = "exawatt.made"
ROW = "1 0 0 60 2 -1 -1 2 60 -1 1 7 1 1 1 1 -1 -1\n"


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_result_is_what_this_code_makes(name: str) -> None:
    result = load(name)
    assert result.tables
    assert all(len(table) for table in result.tables.values())


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_manifest_names_no_machine(name: str) -> None:
    text = (RESULTS / name / "manifest.json").read_text(encoding="utf-8")
    assert str(REPOSITORY) not in text
    assert '"/' not in text
    assert all(each.tier == "real" for each in load(name).manifest.inputs)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Return a repository of a script, and of a module that imports another."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / SCRIPT).write_text("print(1)\n")
    package = tmp_path / "lib" / "exawatt"
    package.mkdir(parents=True)
    (package / "made.py").write_text('"""Made."""\n\nfrom exawatt.used import K\n')
    (package / "used.py").write_text("K = 1  # of something\n")
    return tmp_path


@pytest.fixture
def manifest(top: Path) -> Manifest:
    return Manifest(
        command="make train",
        script=SCRIPT,
        modules=[MODULE],
        code=code_of(SCRIPT, [MODULE], top),
        inputs=[],
        libraries={"numpy": np.__version__},
        settings={"seeds": [0, 1]},
        hardware=["a processor, 2 cores"],
        cpu_s=12.5,
        commit="0123456",
        date="2026-02-03",
        tables={},
    )


TABLE = pd.DataFrame({"log": ["a", "b, c"], "seed": [0, 1], "crps": [1 / 3, 123456.789]})


@pytest.fixture
def stored(top: Path, manifest: Manifest) -> Callable[[], object]:
    """Store a result; return what loads it."""
    save("fit", manifest, {"scores": TABLE}, top)
    return lambda: load("fit", top, top)


def test_a_result_comes_back_as_it_was(top: Path, manifest: Manifest) -> None:
    folder = save("fit", manifest, {"old": TABLE}, top)
    save("fit", manifest, {"scores": TABLE}, top)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "scores.csv"]
    result = load("fit", top, top)
    pd.testing.assert_frame_equal(result["scores"], TABLE, rtol=1e-9)
    assert replace(result.manifest, tables={}) == manifest
    assert result.label == "stored by make train on 2026-02-03, from "
    with pytest.raises(KeyError, match="no table 'old'; it has scores"):
        result["old"]


def test_an_unknown_result(top: Path, stored: Callable[[], object]) -> None:
    with pytest.raises(FileNotFoundError, match=r"no result 'other'.*known: fit.*make train"):
        load("other", top, top)


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("lib/exawatt/used.py", "K = 2\n", "exawatt.used changed"),
        ("lib/exawatt/made.py", "import exawatt.used, exawatt.more\n", "exawatt.more was added"),
        ("lib/exawatt/made.py", "K = 1\n", "exawatt.used is no longer needed"),
        ("lib/exawatt/made.py", "K = \n", "cannot be read"),
        (SCRIPT, "print(2)\n", f"{SCRIPT} changed"),
        ("fit/scores.csv", "log,seed,crps\na,0,0\n", "table scores was edited or lost"),
    ],
)
def test_a_change_makes_it_stale(
    file: str, text: str, told: str, top: Path, stored: Callable[[], object]
) -> None:
    (top / "lib/exawatt/more.py").write_text("")
    stored()
    (top / file).write_text(text)
    with pytest.raises(StaleError, match=r"'fit' is stale: .*'make train'") as error:
        stored()
    assert told in str(error.value)


def test_words_do_not_make_it_stale(top: Path, stored: Callable[[], object]) -> None:
    (top / "lib/exawatt/made.py").write_text('"""Said anew."""\n\nfrom exawatt.used import K\n')
    (top / "lib/exawatt/used.py").write_text("# Of something else.\nK = 1\n")
    table = top / "fit" / "scores.csv"
    table.write_bytes(table.read_bytes().replace(b"\n", b"\r\n"))  # as git may check it out
    stored()


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the only trace that the catalog knows, where it is found."""
    path = tmp_path / "log.swf"
    path.write_text(SWF_HEADER + ROW)
    entry = catalog.Entry("Log", str(path), "free")
    monkeypatch.setattr(catalog, "catalog", lambda kind: {"Log": entry})
    return path


def test_another_trace_makes_it_stale(top: Path, manifest: Manifest, trace: Path) -> None:
    given = Input.of(ew.load("Log"))
    assert (given.name, given.tier, len(given.sha256)) == ("Log", "real", 64)
    save("fit", replace(manifest, inputs=[given]), {"scores": TABLE}, top)
    assert load("fit", top, top).label.endswith(f"from Log ({given.sha256[:8]})")
    trace.write_text(SWF_HEADER + ROW.replace("60", "61"))
    with pytest.raises(StaleError, match=rf"trace Log \({given.sha256[:8]}\) differs"):
        load("fit", top, top)


def test_the_same_jobs_in_another_file_do_not(top: Path, manifest: Manifest, trace: Path) -> None:
    given = Input.of(ew.load("Log"))
    save("fit", replace(manifest, inputs=[given]), {"scores": TABLE}, top)
    packed = trace.with_name("other.swf.gz")
    packed.write_bytes(gzip.compress(trace.read_bytes()))
    entry = catalog.Entry("Log", str(packed), "free")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "catalog", lambda kind: {"Log": entry})
        load("fit", top, top)


def test_contents_are_jobs_and_machine(trace: Path) -> None:
    one = ew.load("Log")
    apps = replace(one, jobs=one.jobs.assign(name=["ab"], other=["c"]))
    others = [
        replace(one, procs=20),
        replace(one, timezone="Asia/Tokyo"),
        replace(one, jobs=one.jobs.assign(user=8)),
        apps,
        replace(one, jobs=one.jobs.assign(name=["a"], other=["bc"])),
    ]
    assert len({contents(each) for each in [one, *others]}) == 6
    trace.write_text("; Note: another line\n" + SWF_HEADER + ROW)
    assert contents(ew.load("Log")) == contents(one)


def test_a_trace_that_is_not_here_is_not_compared(
    top: Path, manifest: Manifest, trace: Path
) -> None:
    given = Input.of(ew.load("Log"))
    save("fit", replace(manifest, inputs=[given]), {"scores": TABLE}, top)
    trace.unlink()
    assert "Log" in load("fit", top, top).label


def test_libraries_of_another_minor_version_are_named(top: Path, manifest: Manifest) -> None:
    same = {"numpy": np.__version__, "scipy": ".".join(["1", "0"])}
    save("fit", replace(manifest, libraries=same | {"torch": "absent"}), {}, top)
    told = load("fit", top, top).made_with
    assert told.startswith("Made with scipy 1.0 (here ")
    assert "numpy" not in told
    save("fit", manifest, {}, top)
    assert load("fit", top, top).made_with == ""


def test_a_manifest_is_json_that_people_can_read(top: Path, stored: Callable[[], object]) -> None:
    given = json.loads((top / "fit" / "manifest.json").read_text())
    assert list(given)[:3] == ["command", "script", "modules"]
    assert given["code"].keys() == {SCRIPT, "exawatt.made", "exawatt.used"}
    shutil.rmtree(top / "fit")
    with pytest.raises(FileNotFoundError, match="known: none"):
        stored()
