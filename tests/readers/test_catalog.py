"""The catalog: names, where their files are found, and what the real traces hold."""

import gzip
import hashlib
import os
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import SWF_HEADER, swf_row

import exawatt as ew
from exawatt.readers import TraceError
from exawatt.readers.catalog import Entry, StandInWarning, catalog, named

REPOSITORY = Path(__file__).parents[2]
TINY = REPOSITORY / "tests" / "data" / "tiny.swf"
FILE = "HPC2N-2002-2.2-cln.swf.gz"

# Jobs after cleaning, and the machine; counted from the files without the library: a submission
# that is not -1, run > 0, 0 < (allocated, else requested) <= machine.
REAL = [
    ("KTH-SP2", 28_467, 28_476, 100),
    ("KTH-SP2-raw", 28_481, 28_489, 100),
    ("LLNL-Thunder", 113_613, 121_039, 4008),
    ("LLNL-Atlas", 36_600, 43_778, 9216),
    ("SDSC-SP2", 54_034, 59_715, 128),
    ("HPC2N", 202_871, 202_871, 240),
    ("UniLu-Gaia", 51_859, 51_987, 2004),
    ("Theta-2022", 23_911, 23_911, 4360),
    ("Lublin-1", 10_000, 10_000, 256),
]


@pytest.mark.parametrize(("name", "jobs", "rows", "procs"), REAL)
def test_job_counts_of_the_real_traces(
    real_data: Path, name: str, jobs: int, rows: int, procs: int
) -> None:
    workload = ew.load(name)
    cleaning = workload.cleaning
    dropped = cleaning.loc[cleaning["action"] == "dropped", "count"].sum()
    assert (len(workload.jobs), len(workload.jobs) + dropped) == (jobs, rows)
    assert workload.procs == procs
    assert workload.name == name
    assert workload.jobs["submit_s"].is_monotonic_increasing


# Rows without a requested time among the jobs kept: facts of the files, as above.
@pytest.mark.parametrize(("name", "missing"), [("KTH-SP2", 0), ("Lublin-1", 10_000)])
def test_missing_requests_stay_missing(real_data: Path, name: str, missing: int) -> None:
    assert ew.load(name).jobs["requested_s"].isna().sum() == missing


def test_what_the_kth_header_says(real_data: Path) -> None:
    workload = ew.load("KTH-SP2")
    assert workload.start == pd.Timestamp("1996-09-23 12:00:31", tz="UTC")  # 14:00:31 CEST
    assert workload.timezone == "Europe/Stockholm"
    assert workload.nodes == 100
    assert workload.tier == "real"
    assert workload.sha256.startswith("3e152f201fd2e968")


def test_thunder_has_four_processors_a_node(real_data: Path) -> None:
    workload = ew.load("LLNL-Thunder")
    assert (workload.procs, workload.nodes) == (4008, 1002)


def test_atlas_takes_requested_processors_where_none_were_allocated(real_data: Path) -> None:
    cleaning = ew.load("LLNL-Atlas").cleaning
    repaired = cleaning[(cleaning["action"] == "repaired") & (cleaning["field"] == "procs")]
    assert list(repaired["count"]) == [17]


ENTRIES = [*catalog("traces").values(), *catalog("intensity").values()]
PUBLISHED = [entry for entry in ENTRIES if entry.tier != "tiny"]


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_the_checksums_are_those_of_the_real_files(real_data: Path, entry: Entry) -> None:
    packed = (real_data / entry.folder / entry.file).read_bytes()
    assert hashlib.sha256(packed).hexdigest() == entry.sha256
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == entry.sha256_text


@pytest.mark.parametrize(
    "name", [name for name, entry in catalog("traces").items() if ".swf" in entry.file]
)
def test_the_catalog_says_what_most_jobs_lack(real_data: Path, name: str) -> None:
    entry = catalog("traces")[name]
    folder = TINY.parent if entry.tier == "tiny" else real_data / entry.folder
    fields = {"waits": 2, "requests": 8, "users": 11}  # counted from 0; unknown is -1
    rows = np.loadtxt(folder / entry.file, comments=";", usecols=list(fields.values()))
    unknown = np.stack([rows[:, 0] < 0, rows[:, 1] <= 0, rows[:, 2] < 0], axis=1).mean(axis=0)
    shares = dict(zip(fields, unknown, strict=True))
    assert sorted(entry.lacks) == sorted(what for what, share in shares.items() if share > 0.5)


def test_every_published_entry_says_where_it_is_from() -> None:
    keys = set(re.findall(r"@\w+\{(\w+),", (REPOSITORY / "chapters/references.bib").read_text()))
    assert "feitelson2014experience" in keys
    for entry in PUBLISHED:
        assert entry.terms and entry.page.startswith("https://"), entry.name
        assert not entry.citation or entry.citation in keys, entry.name
        for checksum in (entry.sha256, entry.sha256_text):
            assert re.fullmatch("[0-9a-f]{64}", checksum), entry.name
        if entry.url:
            # The cache keeps a file under the catalog's name with the address's ending.
            assert re.fullmatch(r"https://\S+\.(swf|csv)(\.gz)?", entry.url), entry.name


def test_archive_logs_come_from_the_archive() -> None:
    archive = "https://www.cs.huji.ac.il/labs/parallel/workload"
    expected = {
        "KTH-SP2": "l_kth_sp2/KTH-SP2-1996-2.1-cln.swf.gz",
        "LLNL-Thunder": "l_llnl_thunder/LLNL-Thunder-2007-1.1-cln.swf.gz",
        "LLNL-Atlas": "l_llnl_atlas/LLNL-Atlas-2006-2.1-cln.swf.gz",
    }
    for name, path in expected.items():
        entry = catalog("traces")[name]
        assert entry.url == f"{archive}/{path}"
        assert entry.citation == "feitelson2014experience"


def test_names_are_found_in_small_letters() -> None:
    assert named("kth-sp2", "traces") is catalog("traces")["KTH-SP2"]
    assert named("KTH-SP2", "intensity") is None
    assert named("gb-2023", "intensity") is catalog("intensity")["GB-2023"]


def test_tiny_is_always_there() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workload = ew.load("tiny")
    assert len(workload.jobs) > 0
    assert (workload.name, workload.tier) == ("tiny", "tiny")
    assert workload.sha256 == hashlib.sha256(TINY.read_bytes()).hexdigest()


@pytest.fixture
def no_real_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that EXAWATT_DATA names."""
    if any((REPOSITORY / place / FILE).exists() for place in ("traces", "data/raw")):
        pytest.skip(f"{FILE} was dropped into the repository")
    folder = tmp_path / "elsewhere"
    (folder / "swf").mkdir(parents=True)
    monkeypatch.setenv("EXAWATT_DATA", str(folder))
    return folder


@pytest.mark.parametrize(
    ("name", "tier", "shown"),
    [
        ("KTH-SP2", "twin", "KTH-SP2 twin"),
        ("LLNL-Thunder", "twin", "LLNL-Thunder twin"),
        ("SDSC-SP2", "tiny", "tiny"),
    ],
)
def test_an_absent_trace_is_replaced_by_a_generated_one_with_a_warning(
    no_real_data: Path, name: str, tier: str, shown: str
) -> None:
    with pytest.warns(StandInWarning, match=f"{name}.*{tier}"):
        workload = ew.load(name)
    assert (workload.name, workload.tier) == (shown, tier)
    assert "generated" in workload.label


@pytest.mark.parametrize(("name", "tier"), [("GB-2023", "twin"), ("GB-2022", "twin")])
def test_an_absent_series_is_replaced_by_a_generated_one_with_a_warning(
    no_real_data: Path, name: str, tier: str
) -> None:
    with pytest.warns(StandInWarning, match=f"{name}.*{tier}"):
        series = ew.load_intensity(name)
    assert series.tier == tier
    assert "generated" in series.label


def test_a_trace_is_found_in_exawatt_data(no_real_data: Path) -> None:
    header = SWF_HEADER.replace("MaxProcs: 10", "MaxProcs: 240")
    content = gzip.compress((header + swf_row(1) + swf_row(2)).encode())
    (no_real_data / "swf" / FILE).write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workload = ew.load("HPC2N")
    assert (workload.name, workload.tier, len(workload.jobs)) == ("HPC2N", "real", 2)
    assert workload.procs == 240
    assert workload.sha256 == hashlib.sha256(content).hexdigest()


def test_a_relative_exawatt_data_counts_from_the_repository(
    no_real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = no_real_data / "swf"
    (folder / FILE).write_bytes(gzip.compress((SWF_HEADER + swf_row(1)).encode()))
    monkeypatch.setenv("EXAWATT_DATA", os.path.relpath(folder, REPOSITORY))
    monkeypatch.chdir(no_real_data)
    assert ew.load("HPC2N").tier == "real"


def test_a_warning_names_the_folder_that_was_searched(no_real_data: Path) -> None:
    with pytest.warns(StandInWarning, match=re.escape(f"EXAWATT_DATA (now {no_real_data})")):
        ew.load("HPC2N")


@pytest.mark.parametrize(
    ("load", "name", "file"),
    [
        (ew.load, "tiny", "tiny.swf"),
        (ew.load, "HPC2N", "tiny.swf"),
        (ew.load_intensity, "tiny", "tiny_intensity.csv.gz"),
    ],
)
@pytest.mark.filterwarnings("ignore::exawatt.readers.catalog.StandInWarning")
def test_a_checkout_without_the_tiny_files_says_so(
    no_real_data: Path, monkeypatch: pytest.MonkeyPatch, load: object, name: str, file: str
) -> None:
    known = {kind: catalog(kind) for kind in ("traces", "intensity")}
    monkeypatch.setattr("exawatt.readers.catalog.catalog", known.__getitem__)
    monkeypatch.setattr("exawatt.readers.catalog.REPOSITORY", no_real_data)
    with pytest.raises(FileNotFoundError, match=f"tiny: .*{file} is missing.*git checkout"):
        load(name)  # type: ignore[operator]


def test_a_downloaded_trace_is_used(
    no_real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXAWATT_CACHE", str(tmp_path))
    (tmp_path / FILE.removesuffix(".gz")).write_text(SWF_HEADER + swf_row(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workload = ew.load("HPC2N")
    assert (workload.tier, len(workload.jobs), workload.procs) == ("real", 1, 10)


def test_a_path_is_a_real_trace_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "my-cluster.swf"
    path.write_text(SWF_HEADER + swf_row(1))
    for given in (path, str(path)):
        workload = ew.load(given)
        assert (workload.name, workload.tier) == ("my-cluster", "real")
        assert Path(workload.source) == path


def test_a_copy_of_tiny_is_not_passed_off_as_real(tmp_path: Path) -> None:
    path = tmp_path / "copy.swf"
    shutil.copy(TINY, path)
    assert ew.load(path).tier == "tiny"


def test_load_passes_its_options_on(tmp_path: Path) -> None:
    path = tmp_path / "my.swf"
    path.write_text(swf_row(1) + swf_row(2, runtime_s="long"))
    with pytest.raises(TraceError, match="long"):
        ew.load(path, procs=4)
    workload = ew.load(path, procs=4, strict=False)
    assert (workload.procs, len(workload.jobs)) == (4, 1)


@pytest.mark.parametrize("load", [ew.load, ew.load_intensity])
def test_an_unknown_name_is_refused_and_the_known_ones_are_listed(load: object) -> None:
    with pytest.raises((FileNotFoundError, ValueError), match="KTH-SP3") as caught:
        load("KTH-SP3")  # type: ignore[operator]
    assert "tiny" in str(caught.value)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises((OSError, ValueError), match=str(tmp_path)):
        ew.load(tmp_path)
