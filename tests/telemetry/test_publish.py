"""A release satisfies its rule, gives away no name, and can be replayed; or there is none."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exawatt as ew
from exawatt.telemetry import publish as module
from exawatt.telemetry.aggregate import aggregate
from exawatt.telemetry.anonymity import AnonymityError, Rule, failing
from exawatt.telemetry.attack import guess_names
from exawatt.telemetry.pseudonyms import KeyFileError, create_key, pseudonym, read_key
from exawatt.telemetry.publish import Publication, publish
from exawatt.telemetry.release import read_release

HOUR_S = 3600
START = pd.Timestamp("2024-05-15 22:00", tz="UTC")  # in Stockholm Thursday 00:00


def accounting(jobs: int = 400, users: int = 12, seed: int = 5) -> pd.DataFrame:
    """Return jobs as sacct would list them, free text included."""
    random = np.random.default_rng(seed)
    who = random.integers(0, users, jobs)
    return pd.DataFrame(
        {
            "job": 90_000_000 + np.arange(jobs),
            "submit_s": np.sort(random.uniform(0, 30 * 86400, jobs)),
            "runtime_s": random.uniform(1, 50_000, jobs),
            "wait_s": random.uniform(0, 5_000, jobs),
            "requested_s": random.choice([3600.0, 7200.0, 86400.0, np.nan], jobs),
            "procs": random.choice([1, 2, 8, 9, 64], jobs, p=[0.4, 0.3, 0.1, 0.1, 0.1]),
            "energy_j": random.uniform(1e3, 1e9, jobs),
            "partition": random.choice(["batch", "gpu"], jobs),
            "state": random.choice(["COMPLETED", "CANCELLED by 4711"], jobs),
            "user": [f"login{n:03}" for n in who],
            "account": [f"grant{n % 4}" for n in who],
            "comment": "ask Doe before rerunning",
            "workdir": [f"/home/login{n:03}/secret" for n in who],
            "uid": 5000 + who,
        }
    )


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return create_key(tmp_path / "release.key")


@pytest.fixture
def workload() -> ew.Workload:
    """Return the same jobs, numbered, on a machine in Stockholm."""
    jobs = accounting()
    for name in ("user", "account", "partition", "state"):
        jobs[name] = pd.factorize(jobs[name])[0]
    jobs = jobs.drop(columns=["comment", "workdir", "uid"])
    return ew.Workload(jobs, procs=64, name="mine", start=START, timezone="Europe/Stockholm")


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def read(published: Publication) -> pd.DataFrame:
    return pd.read_csv(published.folder / "jobs.csv")


QUASI = ("procs", "requested_s", "partition")


def test_a_release(tmp_path: Path, key: Path) -> None:
    jobs = accounting()
    done = publish(jobs, tmp_path / "release", key, QUASI, licence="CC BY 4.0", contact="ops@hpc")
    assert sorted(path.name for path in done.folder.iterdir()) == [
        "README.md", "jobs.csv", "publication_report.json",
    ]  # fmt: skip
    assert json.loads((done.folder / "publication_report.json").read_text()) == done.report
    table = read(done)
    assert failing(table, QUASI, Rule()).empty
    assert done.left_out == dict.fromkeys(["comment", "workdir", "uid"], "no field that may leave")
    lost = done.report["lost"]
    assert lost["rows"] == len(jobs)
    assert lost["rows_suppressed"] == len(jobs) - len(table)
    assert lost["energy_share_suppressed"] <= 0.02
    assert done.report["files"]["jobs.csv"] == {
        "rows": len(table),
        "sha256": hashlib.sha256((done.folder / "jobs.csv").read_bytes()).hexdigest(),
    }
    readme = (done.folder / "README.md").read_text()
    assert "Licence: CC BY 4.0" in readme
    assert "at least 5 rows, of at least 5 distinct users" in readme
    for name in table:
        assert f"| `{name}` |" in readme


def test_nothing_leaves_that_must_not(tmp_path: Path, key: Path) -> None:
    jobs = accounting()
    done = publish(jobs, tmp_path / "release", key, QUASI)
    text = content(done.folder)
    for secret in ("login", "grant", "Doe", "home", "secret", "comment", "workdir", "by 4711",
                   "90000001", "90000002", str(tmp_path), "release.key"):  # fmt: skip
        assert secret.encode() not in text, secret
    assert read_key(key) not in text
    assert read_key(key).hex().encode() not in text
    ids = set(read(done)["user"]) | set(read(done)["account"]) | set(read(done)["job"])
    names = [*jobs["user"], *jobs["account"], *jobs["job"].astype(str)]
    assert guess_names(ids, names) == {}
    # Who has the key can answer a request for removal.
    assert pseudonym("login003", read_key(key)) in ids


def test_values_are_rounded_and_dates_removed(tmp_path: Path, key: Path) -> None:
    jobs = accounting()
    done = publish(jobs, tmp_path / "release", key, ["partition"], window_s=60)
    table = read(done).set_index("job")
    source = jobs.set_index(jobs["job"].map(lambda n: pseudonym(str(n), read_key(key), b"job-id")))
    source = source.loc[table.index]
    assert (table["submit_s"] == source["submit_s"] // 60 * 60).all()
    for name in ("runtime_s", "wait_s", "requested_s"):
        known = source[name].notna()
        assert (table[name][known] % 60 == 0).all()
        assert table[name][known].sub(source[name][known]).between(0, 60).all()
        assert table[name][~known].isna().all()
    np.testing.assert_allclose(table["energy_j"], source["energy_j"], rtol=0.005)
    assert table["energy_j"].map(lambda joules: len(f"{joules:.0f}".rstrip("0"))).max() == 3
    assert set(table["state"]) == {"COMPLETED", "CANCELLED"}


def test_second_0_is_the_local_monday(tmp_path: Path, key: Path, workload: ew.Workload) -> None:
    done = publish(workload, tmp_path / "release", key, ["procs"])
    first_s = workload.jobs["submit_s"].iloc[0]
    expected_s = (3 * 86400 + first_s) // 60 * 60  # Thursday 00:00 in Stockholm, and a bit
    assert read(done)["submit_s"].iloc[0] == expected_s
    assert b"2024-" not in content(done.folder)
    assert b"Stockholm" not in content(done.folder)


def test_without_a_start_whole_weeks_are_taken_away(tmp_path: Path, key: Path) -> None:
    jobs = accounting()
    jobs["submit_s"] += 1_700_000_000
    done = publish(jobs, tmp_path / "release", key, ["procs"])
    shift_s = jobs["submit_s"].iloc[0] // 60 * 60 - read(done)["submit_s"].iloc[0]
    assert shift_s % (7 * 86400) == 0
    assert 0 <= read(done)["submit_s"].iloc[0] < 7 * 86400


def test_the_order_of_the_rows_says_nothing(tmp_path: Path, key: Path) -> None:
    jobs = accounting()
    first = publish(jobs, tmp_path / "first", key, QUASI)
    shuffled = jobs.sample(frac=1, random_state=3).set_axis([0] * len(jobs))
    second = publish(shuffled, tmp_path / "second", key, QUASI)
    assert content(first.folder) == content(second.folder)


def test_two_releases_share_no_identifier(tmp_path: Path, key: Path) -> None:
    one = read(publish(accounting(), tmp_path / "one", key, QUASI))
    other_key = create_key(tmp_path / "other.key")
    two = read(publish(accounting(), tmp_path / "two", other_key, QUASI))
    for name in ("job", "user", "account"):
        assert not set(one[name]) & set(two[name])
    assert not set(one["user"]) & set(one["account"])


def test_a_table_that_fails_is_refused_and_nothing_is_written(tmp_path: Path, key: Path) -> None:
    before = sorted(tmp_path.iterdir())
    jobs = accounting()
    jobs.loc[7, "procs"] = 4096
    with pytest.raises(AnonymityError, match="cells have fewer than k=5 rows or 5 users") as error:
        publish(jobs, tmp_path / "release", key, ["procs"], as_is=True)
    assert error.value.cells.to_dict("records") == [{"procs": 4096, "rows": 1, "users": 1}]
    assert "4096" in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_table_that_satisfies_can_be_published_as_it_is(tmp_path: Path, key: Path) -> None:
    done = publish(accounting(), tmp_path / "release", key, ["partition"], as_is=True)
    assert done.report["quasi_identifiers"] == {"partition": "as it is"}
    assert len(read(done)) == 400


def test_too_few_users_leave_nothing_to_publish(tmp_path: Path, key: Path) -> None:
    few = accounting(users=4)
    for jobs, who in [(few, "only 4 users"), (few.assign(user=None), "no users")]:
        for as_is in (False, True):
            with pytest.raises(AnonymityError, match=f"names {who}: no cell can have 5 distinct"):
                publish(jobs, tmp_path / "release", key, QUASI, as_is=as_is)
    with pytest.raises(AnonymityError, match=r"all 400 rows .* k=500 rows.* a longer period"):
        publish(accounting(), tmp_path / "release", key, QUASI, rule=Rule(k=500))
    assert not (tmp_path / "release").exists()


def test_rare_values_of_other_categories_are_merged(tmp_path: Path, key: Path) -> None:
    jobs = accounting()
    jobs["queue"] = ["normal"] * 393 + ["vip"] * 3 + ["debug"] * 4
    jobs.loc[393:, "user"] = [f"login00{n}" for n in range(7)]
    table = read(publish(jobs, tmp_path / "release", key, ["procs"]))
    assert table["queue"].value_counts().to_dict() == {"normal": 393, "other": 7}


def test_the_size_is_not_told_in_another_way(tmp_path: Path, key: Path) -> None:
    jobs = accounting().assign(requested_procs=lambda table: table["procs"], nodes=1)
    table = read(publish(jobs, tmp_path / "release", key, ["procs"]))
    assert not {"requested_procs", "nodes"} & set(table)
    with pytest.raises(ValueError, match="'nodes' would tell a quasi-identifier in another way"):
        publish(jobs, tmp_path / "other", key, ["procs"], columns=["nodes"])
    both = publish(jobs, tmp_path / "both", key, ["procs", "nodes"])
    assert failing(read(both), ["procs", "nodes"], Rule()).empty


@pytest.mark.parametrize(
    ("named", "kept", "left_out"),
    [
        ("procs", set(), {"requested_procs", "nodes", "gpus"}),
        ("gpus", set(), {"requested_procs", "nodes", "procs"}),
        # Power times running time is energy: of two, the third can be told.
        ("runtime_s", {"energy_j"}, {"power_w", "cpu_s"}),
        ("power_w", {"runtime_s"}, {"energy_j"}),
        ("energy_j", {"runtime_s", "cpu_s"}, {"power_w"}),
        ("cpu_s", {"energy_j"}, {"runtime_s", "power_w"}),
        ("status", set(), {"state"}),
        ("memory_kb", set(), {"max_rss_kb"}),
        ("queue", set(), {"partition"}),
        ("account", set(), {"group"}),
    ],
)
def test_no_other_field_tells_a_quasi_identifier(
    tmp_path: Path, key: Path, named: str, kept: set[str], left_out: set[str]
) -> None:
    jobs = accounting().assign(
        requested_procs=lambda table: table["procs"],
        nodes=1,
        gpus=lambda table: table["procs"] // 8,
        cpu_s=lambda table: table["runtime_s"],
        power_w=lambda table: table["energy_j"] / table["runtime_s"],
        status=lambda table: table["state"].eq("COMPLETED").astype(int),
        memory_kb=4096,
        max_rss_kb=4096,
        queue=lambda table: table["partition"],
        group=lambda table: table["account"],
    )
    found = set(read(publish(jobs, tmp_path / "release", key, [named])))
    assert kept <= found
    assert not left_out & found
    for other in left_out:
        with pytest.raises(ValueError, match=f"'{other}' would tell a quasi-identifier"):
            wanted = [*kept, other]
            publish(jobs, tmp_path / "other", key, [named], columns=wanted)


def test_two_of_a_product_leave_no_third(tmp_path: Path, key: Path) -> None:
    jobs = accounting().assign(power_w=lambda table: table["energy_j"] / table["runtime_s"])
    done = publish(jobs, tmp_path / "release", key, ["runtime_s", "energy_j"])
    assert "power_w" not in read(done)


def test_a_name_of_a_job_is_no_number_of_one(tmp_path: Path, key: Path) -> None:
    jobs = accounting().assign(job_name="the same for all")
    done = publish(jobs, tmp_path / "release", key, ["procs"])
    assert "job_name" in done.left_out
    assert read(done)["job"].is_unique


def test_quasi_identifiers_are_named_once(tmp_path: Path, key: Path) -> None:
    for as_is in (False, True):
        with pytest.raises(ValueError, match=r"\(='procs,procs'\) .* each once"):
            publish(accounting(), tmp_path / "r", key, ["procs", "procs"], as_is=as_is)
        with pytest.raises(ValueError, match=r"quasi_identifiers\(=''\) must name"):
            publish(accounting(), tmp_path / "r", key, [], as_is=as_is)


@pytest.mark.parametrize(("name", "value"), [("procs", 1e20), ("energy_j", np.inf)])
def test_numbers_that_no_job_has_are_refused(
    tmp_path: Path, key: Path, name: str, value: float
) -> None:
    jobs = accounting()
    jobs[name] = jobs[name].astype(float)
    jobs.loc[7, name] = value
    with pytest.raises(ValueError, match=rf"column '{name}' holds (1e\+20|inf)"):
        publish(jobs, tmp_path / "release", key, ["partition"])


def test_dates_are_refused(tmp_path: Path, key: Path) -> None:
    jobs = accounting()
    jobs["submit_s"] = pd.to_datetime(jobs["submit_s"], unit="s")
    with pytest.raises(ValueError, match="column 'submit_s' holds datetime64"):
        publish(jobs, tmp_path / "release", key, ["procs"])


def test_categories_that_hold_a_name_are_hashed(tmp_path: Path, key: Path) -> None:
    jobs = accounting()
    jobs["group"] = ["u1" if n % 2 else "smithlab" for n in range(len(jobs))]
    values = ["LOGIN001", "smithlab-long", "priv-U1", "gpu1", "grant2", "batch"]
    jobs["partition"] = [values[n % 6] for n in range(len(jobs))]
    table = read(publish(jobs, tmp_path / "release", key, ["procs"]))
    secret = read_key(key)
    hashes = {pseudonym(value, secret, b"class-id") for value in values}
    # A name of less than four letters counts where it stands by itself: gpu1 is not of u1.
    plain = {"gpu1", "batch"}
    assert set(table["partition"]) - plain < hashes
    assert plain < set(table["partition"])
    assert len(set(table["partition"])) == 6
    numbered = jobs.assign(user=1000 + pd.factorize(jobs["user"])[0], partition="p1003")
    table = read(publish(numbered, tmp_path / "numbered", key, ["procs"]))
    assert set(table["partition"]) == {pseudonym("p1003", secret, b"class-id")}


def test_a_merged_category_is_no_name_of_one_user(tmp_path: Path, key: Path) -> None:
    jobs = accounting()
    jobs["queue"] = "normal"
    jobs.loc[3, "queue"] = "vip"
    for queue in (jobs["queue"], jobs["queue"].map({"normal": 4, "vip": 9})):
        done = publish(jobs.assign(queue=queue), tmp_path / str(queue[3]), key, ["procs"])
        assert failing(read(done), ["queue"], Rule()).empty


def test_columns_that_must_not_leave(tmp_path: Path, key: Path) -> None:
    jobs = accounting()
    for name in ("comment", "workdir", "uid"):
        with pytest.raises(ValueError, match=f"column '{name}' must not leave"):
            publish(jobs, tmp_path / "release", key, QUASI, columns=[name])
    with pytest.raises(ValueError, match="'partition' holds 'ask Doe before rerunning'"):
        publish(jobs.assign(partition=jobs["comment"]), tmp_path / "release", key, QUASI)
    with pytest.raises(ValueError, match="column 'procs' holds str"):
        publish(jobs.assign(procs=jobs["user"]), tmp_path / "release", key, QUASI)
    assert not (tmp_path / "release").exists()


def test_the_key_is_checked(tmp_path: Path, key: Path) -> None:
    key.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        publish(accounting(), tmp_path / "release", key, QUASI)


def test_an_earlier_release_is_not_touched(tmp_path: Path, key: Path) -> None:
    done = publish(accounting(), tmp_path / "release", key, QUASI)
    before = content(done.folder)
    with pytest.raises(FileExistsError, match="exists already"):
        publish(accounting(seed=6), tmp_path / "release", key, QUASI)
    assert content(done.folder) == before


def test_what_breaks_off_leaves_nothing(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(tmp_path.iterdir())

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "readme", full)  # the last file to be written
    with pytest.raises(OSError, match="No space left"):
        publish(accounting(), tmp_path / "release", key, QUASI)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("window_s", [0.9, 61, np.nan])
def test_windows_are_1_to_60_seconds(tmp_path: Path, key: Path, window_s: float) -> None:
    with pytest.raises(ValueError, match=r"window_s\(=.*\) must lie between 1 and 60"):
        publish(accounting(), tmp_path / "release", key, QUASI, window_s=window_s)


def test_a_release_in_parquet(tmp_path: Path, key: Path) -> None:
    done = publish(accounting(), tmp_path / "release", key, QUASI, file_format="parquet")
    same = publish(accounting(), tmp_path / "same", key, QUASI)
    table = pd.read_parquet(done.folder / "jobs.parquet")
    pd.testing.assert_frame_equal(table, read(same), check_dtype=False)
    for secret in ("login", "Doe", str(tmp_path)):
        assert secret.encode() not in content(done.folder)
    assert len(read_release(done.folder, procs=64)) == len(table)


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_release_can_be_replayed(
    tmp_path: Path, key: Path, workload: ew.Workload, file_format: module.FileFormat
) -> None:
    done = publish(workload, tmp_path / "release", key, QUASI, file_format=file_format)
    again = read_release(done.folder)
    assert (again.procs, again.tier) == (64, "real")
    assert again.sha256 == done.report["files"][f"jobs.{file_format}"]["sha256"]
    assert again.cleaning.empty
    assert again.jobs["requested_s"].isna().all()  # it was generalised away
    assert again.jobs["user"].nunique() == workload.jobs["user"].nunique()
    assert again.offered_load == pytest.approx(workload.offered_load, rel=0.05)
    assert len(ew.replay(again, policy="easy").jobs) == len(again)


def test_the_machine_must_be_known_to_replay(tmp_path: Path, key: Path) -> None:
    done = publish(accounting(), tmp_path / "release", key, QUASI)
    with pytest.raises(ValueError, match=r"procs\(=None\) must be passed"):
        read_release(done.folder)


def test_without_times_nothing_can_be_replayed(
    tmp_path: Path, key: Path, workload: ew.Workload
) -> None:
    quasi = ["procs", "partition", "submit_s"]
    done = publish(workload, tmp_path / "release", key, quasi, max_suppressed=0)
    assert done.report["quasi_identifiers"]["submit_s"] == "not published"
    assert set(read(done)["submit_s"]) == {-1}
    assert "No replay is possible, without submit_s" in (done.folder / "README.md").read_text()
    with pytest.raises(ValueError, match="does not tell submit_s"):
        read_release(done.folder)
    part = publish(workload, tmp_path / "part", key, ["partition"], columns=["runtime_s"])
    with pytest.raises(ValueError, match="does not tell submit_s, procs"):
        read_release(part.folder)


def power_of(host: str) -> pd.DataFrame:
    """Return aggregated power of a host, from Monday 02:00 UTC."""
    begin_ns = int(pd.Timestamp("2024-05-13 02:00", tz="UTC").as_unit("ns").value)
    samples = pd.DataFrame(
        {
            "time_ns": begin_ns + np.arange(0, 601) * 10**9,
            "host": host,
            "zone": "package-0/core",
            "total_uj": np.arange(0, 601) * 100_000_000,
            "status": "ok",
        }
    )
    return aggregate(samples, window_s=60)


def test_power_is_published_beside_jobs(tmp_path: Path, key: Path, workload: ew.Workload) -> None:
    power = pd.concat([power_of("node17.hpc.example"), power_of("node18.hpc.example")])
    done = publish(workload, tmp_path / "release", key, ["procs"], power=power)
    table = pd.read_csv(done.folder / "power.csv")
    assert list(table) == [
        "time_s", "host", "zone", "power_w", "energy_j", "missing_s", "spread_s",
    ]  # fmt: skip
    assert table["time_s"].iloc[0] == 4 * HOUR_S  # Monday 04:00 in Stockholm
    assert table["energy_j"].sum() == pytest.approx(2 * 60_000)
    assert set(table["power_w"]) == {100.0}
    assert set(table["host"]) == {
        pseudonym(f"node{n}.hpc.example", read_key(key), b"host-id") for n in (17, 18)
    }
    assert b"node1" not in content(done.folder)
    readme = (done.folder / "README.md").read_text()
    assert "Steps in a host's power" in readme
    assert "No least number of users holds for a host" in readme.replace("\n  ", " ")


def gapped(power: pd.DataFrame, missing_s: list[float]) -> pd.DataFrame:
    """Return the first windows with so much of each not seen, at a power of many digits."""
    found = power.head(len(missing_s)).assign(missing_s=missing_s, power_w=123.45678899999992)
    energy_j = found["power_w"] * (60 - found["missing_s"])
    return found.assign(energy_j=energy_j.mask(found["missing_s"] == 60))


def released(folder: Path, key: Path, workload: ew.Workload, power: pd.DataFrame) -> pd.DataFrame:
    done = publish(workload, folder, key, ["procs"], power=power)
    return pd.read_csv(done.folder / "power.csv")


def test_power_does_not_tell_when_a_recording_began(
    tmp_path: Path, key: Path, workload: ew.Workload
) -> None:
    # Partly seen beside what was not seen wholly is an end; alone among whole ones, a gap.
    missing_s = [0.12345678900000223, 7.89, 0.0, 3.21, 0.0, 60.0, 0.0, 51.5, 2.5, 0.0]
    power = gapped(power_of("node17"), missing_s)
    table = released(tmp_path / "release", key, workload, power)
    minutes = table["time_s"] / 60 - table["time_s"].iloc[0] / 60
    assert dict(zip(minutes, table["missing_s"], strict=True)) == {
        0: 0, 1: 8, 2: 0, 3: 3, 4: 0, 5: 60, 6: 0, 9: 0,
    }  # fmt: skip
    assert set(table["power_w"]) == {123.0}
    assert table["energy_j"].dropna().map(lambda joules: joules % 10 == 0).all()
    later = released(tmp_path / "later", key, workload, gapped(power, [7.89, 0.0, *missing_s[2:]]))
    assert later["time_s"].iloc[0] == table["time_s"].iloc[1]
    # Nor does the time over which the energy of a stop was spread.
    spread = gapped(power, [0.0] * 5).assign(spread_s=[0.0, 0.0, 12.3, 45.6, 0.0])
    table = released(tmp_path / "spread", key, workload, spread)
    assert list(table["time_s"].diff().dropna() / 60) == [1, 3]


def test_processors_and_gpus_are_published_together(
    tmp_path: Path, key: Path, workload: ew.Workload
) -> None:
    zones = power_of("node17")
    gpus = zones.assign(device=1).drop(columns="zone")
    both = tmp_path / "both.csv"
    pd.concat([zones, gpus], ignore_index=True).to_csv(both, index=False)
    table = released(tmp_path / "release", key, workload, pd.read_csv(both))
    assert table["device"].notna().sum() == table["zone"].notna().sum() == 10
    assert set(table["device"].dropna()) == {1}


def test_a_recording_counts_once(tmp_path: Path, key: Path, workload: ew.Workload) -> None:
    power = power_of("node17")
    with pytest.raises(ValueError, match=r"10 windows twice, .* zone=package-0/core"):
        released(tmp_path / "twice", key, workload, pd.concat([power, power]))
    # Of recordings that meet within a window, each sees a part of it.
    begin, end = gapped(power, [0.0, 0.0, 20.0]), gapped(power.iloc[2:], [50.0, 0.0, 0.0])
    table = released(tmp_path / "met", key, workload, pd.concat([begin, end]))
    assert list(table["time_s"].diff().dropna() / 60) == [1, 2, 1]


def test_power_that_cannot_be_published(tmp_path: Path, key: Path, workload: ew.Workload) -> None:
    power, folder = power_of("node17"), tmp_path / "release"
    with pytest.raises(ValueError, match=r"of 60 s, .*'--window 30', or .*'--window 60'\.$"):
        publish(workload, folder, key, ["procs"], power=power, window_s=30)
    with pytest.raises(ValueError, match=r"'--window 60', or .*'--window 10', by which more jobs"):
        publish(workload, folder, key, ["procs"], power=power.assign(window_s=10.0))
    mixed = power.assign(window_s=[60.0] * 5 + [10.0] * 6)
    with pytest.raises(ValueError, match=r"of 10 and 60 s, .* with '--window 60'\.$"):
        publish(workload, folder, key, ["procs"], power=mixed)
    with pytest.raises(ValueError, match=r"11 windows, and none of them may leave"):
        publish(workload, folder, key, ["procs"], power=power.assign(missing_s=1.0))
    with pytest.raises(ValueError, match=r"power has no column 'time_ns'"):
        publish(workload, folder, key, ["procs"], power=accounting())
    with pytest.raises(ValueError, match="pass a Workload with start="):
        publish(workload.jobs, folder, key, ["procs"], power=power)
    with pytest.raises(ValueError, match=r"zone 'node of J\. Doe' is no name"):
        publish(workload, folder, key, ["procs"], power=power.assign(zone="node of J. Doe"))
    assert not folder.exists()


def test_what_was_done_to_each_field_is_told(
    tmp_path: Path, key: Path, workload: ew.Workload
) -> None:
    """Numbers hold no names, and what is not published is not as it is."""
    texts = publish(accounting(), tmp_path / "texts", key, ["procs"]).report["fields"]
    assert texts["partition"]["done"] == "names hashed; rare values merged"
    assert texts["runtime_s"]["done"] == "rounded up to the window"
    report = publish(workload, tmp_path / "numbers", key, ["partition"]).report
    assert report["quasi_identifiers"] == {"partition": "as it is"}
    done = {name: report["fields"][name]["done"] for name in ("partition", "procs", "state")}
    assert done == {"partition": "as it is", "procs": "as it is", "state": "rare values merged"}
    jobs = accounting(users=5)
    jobs["procs"] = 10 ** pd.factorize(jobs["user"])[0]  # a size for each user
    report = publish(jobs, tmp_path / "none", key, ["procs"], max_suppressed=0).report
    assert report["fields"]["procs"]["done"] == "not published"


def test_why_columns_are_left_out(tmp_path: Path, key: Path) -> None:
    jobs = accounting().assign(nodes=1, gpus=np.nan, memory_kb=np.nan)
    columns = ["procs", "runtime_s", "partition"]
    done = publish(jobs, tmp_path / "release", key, ["procs"], columns=columns)
    assert done.left_out["nodes"] == "would tell a quasi-identifier in another way"
    assert done.left_out["gpus"] == done.left_out["memory_kb"] == "no value is known"
    assert done.left_out["uid"] == "no field that may leave"
    assert done.left_out["energy_j"] == "not asked for"


def test_a_column_that_is_not_there(tmp_path: Path, key: Path) -> None:
    with pytest.raises(ValueError, match=r"no column 'foo'; .* has job, submit_s.*, account\.$"):
        publish(accounting(), tmp_path / "release", key, ["procs", "foo"])


names = st.integers(0, 14).map("person-{}-x".format)
row = st.fixed_dictionaries(
    {
        "submit_s": st.floats(0, 1e8),
        "runtime_s": st.floats(0, 1e6),
        "requested_s": st.one_of(st.floats(1, 1e6), st.just(float("nan"))),
        "procs": st.integers(1, 5000),
        "partition": st.sampled_from(["batch", "gpu", "debug", None]),
        "user": st.one_of(names, st.none()),
        "app": st.one_of(names, st.text(min_size=3).map("free text {}".format)),
        "comment": st.text().map("free text {}".format),
    }
)


@settings(max_examples=25)
@given(
    rows=st.lists(row, min_size=1, max_size=60),
    copies=st.integers(1, 6),
    quasi=st.lists(
        st.sampled_from(["submit_s", "runtime_s", "requested_s", "procs", "partition", "app"]),
        min_size=1,
        unique=True,
    ),
    k=st.integers(2, 7),
    min_users=st.integers(2, 6),
)
def test_published_tables_always_satisfy_the_rule(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, object]],
    copies: int,
    quasi: list[str],
    k: int,
    min_users: int,
) -> None:
    folder = tmp_path_factory.mktemp("property")
    key = create_key(folder / "key")
    jobs = pd.DataFrame(rows * copies)
    rule = Rule(k=k, min_users=min_users)
    try:
        done = publish(jobs, folder / "release", key, quasi, rule=rule)
    except AnonymityError:
        # Only where even the whole table is too small.
        assert len(jobs) < k or jobs["user"].nunique(dropna=False) < min_users
        assert sorted(folder.iterdir()) == [key]
        return
    table = read(done)
    found = table.groupby(quasi, dropna=False)["user"]
    assert (found.size() >= k).all()
    assert (found.nunique(dropna=False) >= min_users).all()
    text = content(done.folder)
    assert b"person-" not in text
    assert b"free text" not in text
    assert read_key(key) not in text
