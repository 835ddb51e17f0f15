"""Published power measurements: how they are read, and what models of them predict unseen."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exawatt.readers.power_data import (
    read_acme_power,
    read_argo_nodes,
    read_dahu_minutes,
    read_kabre_energy,
    read_zeus_power,
)
from exawatt.telemetry.gpupower import LimitedGpuPower, fit_gpu, fit_limited_gpu
from exawatt.telemetry.powermodel import (
    NodePower,
    errors,
    fit_levels,
    fit_node,
    fit_rate,
    held_out,
)


def line(load: np.ndarray, watts: np.ndarray, node: np.ndarray) -> NodePower:
    return fit_node(load, watts, node, label="")


def test_argo_load_is_per_core(tmp_path: Path) -> None:
    path = tmp_path / "nodes.csv"
    path.write_text(
        "NodeName,CPUAlloc,CPUTot,CPULoad,AvailableFeatures,Gres,CurrentWatts\n"
        'n1,40,40,10.0,"128gb,e5-2640v4",(null),140\n'
        'n2,5,20,10.0,"64gb,e5-2680v2",(null),100\n'
        'g1,0,20,0.0,"64gb,e5-2680v2",gpu:k40c:2,30\n'
    )
    assert read_argo_nodes(path).to_numpy().tolist() == [
        ["n1", "e5-2640v4", 140.0, 1.0, 0.5],
        ["n2", "e5-2680v2", 100.0, 0.25, 0.5],
    ]


def test_kabre_rows_are_all_accounted_for(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text(
        "ConsumedEnergyRaw,CPUTimeRAW,Submit,Partition\n"
        "100,256,2024-07-01T00:00:00,nu\n"
        "100,256,2024-07-01T00:00:00,nu\n"
        "0,256,2024-07-01T00:00:01,nu-long\n"
        "5,0,2024-07-01T00:00:02,nu-wide\n"
        ",512,2024-07-01T00:00:03,nu\n"
        "7,512,2024-07-01T00:00:03,nukwa\n"
    )
    table, dropped = read_kabre_energy(path)
    assert table[["partition", "energy_j", "proc_s"]].to_numpy().tolist() == [["nu", 100.0, 256]]
    assert dropped == {
        "other partitions, which share nodes": 1,
        "exact duplicates": 1,
        "no energy": 2,
        "no processor time": 1,
    }


def test_argo_power_is_linear_in_load_on_one_kind_of_node(real_data: Path) -> None:
    nodes = read_argo_nodes(real_data / "power" / "argo_slurm_node_energy_2020-03.csv.gz")
    assert len(nodes) == 139  # of 141, two have GPUs
    kind = nodes[nodes["kind"] == "e5-2680v2"]
    model = fit_node(kind["load"], kind["power_w"], kind["node"], label="Argo")
    assert model.idle_w == pytest.approx(48.2, abs=0.1)
    assert model.busy_w == pytest.approx(195.5, abs=0.1)
    by_load, by_allocation = (
        errors(held_out(line, kind[column], kind["power_w"], kind["node"]))["value"]
        for column in ("load", "allocated")
    )
    assert by_load["mean_absolute_w"] == pytest.approx(10.6, abs=0.1)
    assert by_allocation["mean_absolute_w"] == pytest.approx(23.7, abs=0.1)
    assert by_load["coverage"] > 0.9


def test_dahu_levels_hold_for_hosts_that_were_not_fitted(real_data: Path) -> None:
    minutes = read_dahu_minutes(real_data / "power" / "dahu_rapl_minute_2019-07.parquet")
    assert (len(minutes), minutes["host"].nunique()) == (1_217_594, 38)
    odd = minutes["host"].str.slice(-1).isin(list("13579"))
    one, other = (
        fit_levels(half["power_w"], half["host"], label="Dahu")
        for half in (minutes[odd], minutes[~odd])
    )
    assert one.idle_w == pytest.approx(other.idle_w, abs=3)
    assert one.busy_w == pytest.approx(other.busy_w, abs=6)
    # Two processors of 125 W and their memory.
    assert 270 < one.busy_w < 295


def test_kabre_energy_in_sum_and_by_job(real_data: Path) -> None:
    jobs, dropped = read_kabre_energy(real_data / "power" / "kabre_slurm_sacct_energy.csv.gz")
    assert len(jobs) + sum(dropped.values()) == 30_376
    early = jobs["submit"] < "2024-10-01"
    fitted, rest = jobs[early], jobs[~early]
    rate = fit_rate(fitted["energy_j"], fitted["proc_s"], fitted["submit"].dt.date, label="Kabré")
    told = rate.proc_w * rest["proc_s"]
    assert told.sum() / rest["energy_j"].sum() == pytest.approx(1.008, abs=0.001)
    # Right in sum, single jobs are a third off: processor time is not load.
    assert (told / rest["energy_j"] - 1).abs().median() == pytest.approx(0.345, abs=0.001)
    assert rate.low_w < rest["energy_j"].sum() / rest["proc_s"].sum() < rate.high_w


def test_acme_clusters_have_the_same_levels(real_data: Path) -> None:
    quantiles = read_acme_power(real_data / "power" / "acme_power_cdf.csv.gz")
    kalos, seren = (
        fit_levels(quantiles[name], np.zeros(len(quantiles)), label=name)
        for name in ("kalos_gpu_w", "seren_gpu_w")
    )
    assert (kalos.idle_w, seren.idle_w) == (pytest.approx(61.34), pytest.approx(61.33))
    assert kalos.busy_w == pytest.approx(seren.busy_w, abs=1)


@pytest.mark.parametrize("gpu", ["v100", "a40", "p100", "rtx6000"])
def test_zeus_power_saturates_with_the_batch_where_batches_are_small(
    real_data: Path, gpu: str
) -> None:
    runs = read_zeus_power(real_data / "power" / f"zeus_summary_power_{gpu}.csv.gz")
    runs = runs[runs["limit_w"] == runs["limit_w"].max()]
    small: pd.DataFrame = runs[runs["network"] == "shufflenetv2"]
    model = fit_gpu(
        small["batch_size"], small["power_w"], small["batch_size"], label=gpu, full=1024
    )
    assert model.form == "saturating"
    assert model.rms_w["saturating"] < 0.4 * model.rms_w["linear"]
    assert model.rms_w["saturating"] < 25


def limited(load: np.ndarray, watts: np.ndarray, group: np.ndarray) -> LimitedGpuPower:
    return fit_limited_gpu(load[:, 0], load[:, 1], watts, group, label="")


def test_zeus_power_at_batch_sizes_and_limits_left_out(real_data: Path) -> None:
    told = []
    for gpu in ("v100", "a40", "p100", "rtx6000"):
        runs = read_zeus_power(real_data / "power" / f"zeus_summary_power_{gpu}.csv.gz")
        for name, some in runs.groupby(["dataset", "network"]):
            if some["batch_size"].nunique() > 3:
                load = some[["batch_size", "limit_w"]]
                found = held_out(limited, load, some["power_w"], some["batch_size"])
                told.append(found.assign(group=f"{gpu} {name} " + found["group"].astype(str)))
    table = errors(pd.concat(told, ignore_index=True))
    assert table.loc["mean_absolute_w", "value"] == pytest.approx(7.0, abs=0.2)
    # The mean of the other batch sizes and limits of the same network misses by 27 W.
    assert table.loc["mean_absolute_w", "high"] < 9
    assert abs(table.loc["bias_w", "value"]) < 1
