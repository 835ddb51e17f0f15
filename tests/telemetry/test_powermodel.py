"""Power models: parameters recovered, intervals that hold, watts in a platform, real series."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from exawatt.platform import Partition, Platform
from exawatt.stats import Floats
from exawatt.telemetry.gpupower import fit_gpu, fit_limited_gpu
from exawatt.telemetry.powermodel import (
    NodePower,
    block_length,
    errors,
    fit_levels,
    fit_node,
    fit_rate,
    held_out,
    to_platform,
    two_sides_w,
)


def noise(rng: np.random.Generator, size: int, memory: float) -> Floats:
    """Series of deviation 1 in which each sample keeps a part of the one before it."""
    steps = rng.normal(0, np.sqrt(1 - memory**2), size)
    values = np.empty(size)
    values[0] = rng.normal()
    for i in range(1, size):
        values[i] = memory * values[i - 1] + steps[i]
    return values


def test_a_line_through_three_points() -> None:
    # Least squares through (0, 100), (0.5, 140), (1, 210): slope 110, mean 150 at 0.5.
    model = fit_node([0, 0.5, 1], [100, 140, 210], label="points")
    assert (model.idle_w, model.busy_w) == (pytest.approx(95.0), pytest.approx(205.0))
    assert_allclose(model.predict_w([0.25, 0.75]), [122.5, 177.5])
    # Residuals 5, -10, 5: their squares over one degree of freedom.
    assert model.residual_w == pytest.approx(np.sqrt(150))


def coverage(memory: float, nodes: int, node_sd_w: float, samples: int) -> float:
    """How often the 95 % interval of idle power holds the truth, 100 W."""
    rng = np.random.default_rng(3)
    hits = 0
    for trial in range(100):
        node = np.repeat(np.arange(nodes), samples)
        load = np.clip(
            0.5 + 0.3 * np.concatenate([noise(rng, samples, memory) for _ in range(nodes)]), 0, 1
        )
        own = np.repeat(rng.normal(0, node_sd_w, nodes), samples)
        extra = np.concatenate([noise(rng, samples, memory) for _ in range(nodes)])
        watts = 100 + 150 * load + own + 10 * extra
        model = fit_node(load, watts, node, label="twin", seed=trial)
        low, high = np.quantile(model.draws_w[:, 0], [0.025, 0.975])
        hits += low <= 100 <= high
    return hits / 100


def test_intervals_hold_with_autocorrelation() -> None:
    # Resampling single samples would hold the truth in about a third of the cases.
    assert coverage(memory=0.95, nodes=1, node_sd_w=0, samples=3000) >= 0.8


def test_intervals_hold_with_nodes_that_differ() -> None:
    assert coverage(memory=0.5, nodes=16, node_sd_w=10, samples=100) >= 0.85


def test_variation_from_node_to_node() -> None:
    rng = np.random.default_rng(4)
    node = np.repeat(np.arange(200), 100)
    load = rng.uniform(0, 1, node.size)
    watts = 100 + 150 * load + np.repeat(rng.normal(0, 8, 200), 100) + rng.normal(0, 1, node.size)
    model = fit_node(load, watts, node, label="twin")
    assert_allclose(model.node_sd_w, [8, 8], rtol=0.15)


def test_block_length_follows_the_memory_of_a_series() -> None:
    rng = np.random.default_rng(5)
    assert block_length(rng.normal(size=1000)) == 10
    # 0.98^n falls to 1/e after 50 samples.
    assert 250 <= block_length(noise(rng, 20_000, 0.98)) <= 1000
    assert block_length(np.arange(100.0)) == 10


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="does not vary over 4 samples"):
        fit_node([0.5] * 4, [1, 2, 3, 4], label="x")
    with pytest.raises(ValueError, match="must be finite"):
        fit_node([0, 1, np.nan], [1, 2, 3], label="x")
    with pytest.raises(ValueError, match=r"utilisation \(2,\), power_w \(3,\)"):
        fit_node([0, 1], [1, 2, 3], label="x")
    with pytest.raises(ValueError, match="must be finite"):
        fit_levels([1, np.inf], ["a", "a"], label="x")
    with pytest.raises(ValueError, match="no node has 60 samples both idle and busy"):
        fit_levels([50.0] * 100 + [200.0] * 10, ["a"] * 110, label="x")
    with pytest.raises(ValueError, match="group has 2 values"):
        fit_gpu([1, 2, 3], [1, 2, 3], [1, 1, 2], label="x")
    with pytest.raises(ValueError, match="load not negative"):
        fit_gpu([1, 2, -3], [1, 2, 3], [1, 2, 3], label="x")


def test_levels_without_utilisation() -> None:
    assert two_sides_w([10.0, 10, 10, 110, 110]) == 60
    rng = np.random.default_rng(6)
    node = np.repeat(np.arange(20), 1000)
    idle, busy = rng.normal(30, 3, 20)[node], rng.normal(280, 8, 20)[node]
    share = np.clip(rng.normal(1, 0.3, node.size), 0, 1)  # half of the busy time is fully busy
    watts = np.where(rng.uniform(size=node.size) < 0.3, idle, idle + (busy - idle) * share)
    model = fit_levels(watts, node, label="twin")
    assert model.idle_w == pytest.approx(30, abs=2)
    assert model.busy_w == pytest.approx(280, abs=5)
    assert_allclose(model.node_sd_w, [3, 8], rtol=0.5)
    one = fit_levels(watts[node == 0], node[node == 0], label="one node")
    assert np.isnan(one.draws_w).all()


def test_a_gpu_that_saturates_and_one_that_does_not() -> None:
    rng = np.random.default_rng(7)
    load = np.repeat([8.0, 16, 32, 64, 128, 256, 512], 4)
    group = load
    bend = fit_gpu(
        load, 40 + 200 * load / (load + 50) + rng.normal(0, 2, 28), group, label="x", full=512
    )
    assert bend.form == "saturating"
    assert bend.rms_w["saturating"] < 0.5 * bend.rms_w["linear"]
    assert (bend.base_w, bend.gain_w) == (pytest.approx(40, abs=8), pytest.approx(200, abs=8))
    assert bend.half == pytest.approx(50, rel=0.15)
    assert bend.busy_w == pytest.approx(40 + 200 * 512 / 562, abs=4)
    low, high = bend.busy_interval_w
    assert low < bend.busy_w < high < low + 15
    share = np.repeat(np.linspace(0, 1, 8), 4)
    line = fit_gpu(share, 60 + 300 * share, share, label="x")
    assert (line.form, line.half) == ("linear", np.inf)
    assert_allclose([line.base_w, line.busy_w, line.predict_w(0.5)], [60, 360, 210])


def test_a_gpu_at_its_limit() -> None:
    load = np.repeat([8.0, 16, 32, 64, 128, 256], 4)
    limit_w = np.tile([100.0, 150, 200, 250], 6)
    demand_w = 40 + 200 * load / (load + 50)
    watts = 5 + 0.95 * np.minimum(limit_w, demand_w)
    model = fit_limited_gpu(load, limit_w, watts, load, label="x")
    told = model.predict_w(np.column_stack([load, limit_w]))
    assert_allclose(told, watts, atol=5)  # demand is fitted to 0.95 of itself
    assert model.predict_w([[1e6, 100.0]])[0] == pytest.approx(100, abs=5)


def test_watts_in_a_platform() -> None:
    node = NodePower(20.0, 200.0, np.array([[20.0, 200.0]]), 5.0, (1.0, 2.0), "Dahu (abc)")
    share = np.repeat(np.linspace(0, 1, 8), 4)
    gpu = fit_gpu(share, 60 + 300 * share, share, label="V100")
    partitions = tuple(
        Partition(nodes=2, procs=16, gpus=4, number=number, sleep_w=7.0) for number in (1, 2)
    )
    fitted = to_platform(Platform(partitions, pue=1.2, name="machine"), node, gpu)
    assert fitted.name == "machine fitted to Dahu (abc), V100"
    assert fitted.pue == 1.2
    for before, after in zip(partitions, fitted.partitions, strict=True):
        assert (after.idle_w, after.busy_w) == (20.0, 200.0)
        assert after.gpu_w == pytest.approx(300.0)
        assert (after.number, after.gpus, after.sleep_w) == (before.number, 4, 7.0)
    rate = fit_rate([100, 300], [200, 600], [1, 2], label="accounting")
    assert rate.proc_w == 0.5
    part = rate.to_partition(Partition(nodes=2, procs=512, idle_w=100.0, busy_w=200.0))
    assert (part.idle_w, part.busy_w) == (64.0, 128.0)


def test_a_rate_and_its_interval() -> None:
    rng = np.random.default_rng(8)
    day = np.repeat(np.arange(50), 20)
    seconds = rng.uniform(100, 1000, day.size)
    joules = seconds * np.repeat(rng.normal(0.5, 0.1, 50), 20)
    rate = fit_rate(joules, seconds, day, label="twin")
    assert rate.low_w < 0.5 < rate.high_w
    # Fifty days of deviation 0.1 give a standard error of 0.014.
    assert rate.high_w - rate.low_w == pytest.approx(4 * 0.1 / np.sqrt(50), rel=0.35)


def test_held_out_groups_are_not_in_the_fit() -> None:
    # The third node alone lies off the line; left out, it is missed by what it is off.
    load = np.tile([0.0, 0.5, 1.0], 3)
    watts = 100 + 100 * load
    watts[6:] += 30
    group = np.repeat(["a", "b", "c"], 3)
    told = held_out(lambda u, w, g: fit_node(u, w, g, label="x"), load, watts, group)
    miss = (told["predicted_w"] - told["power_w"]).groupby(told["group"]).mean()
    assert_allclose(miss, [15, 15, -30])
    table = errors(told)
    assert table.loc["bias_w", "value"] == pytest.approx(0)
    assert table.loc["mean_absolute_w", "value"] == pytest.approx(20)
    assert table.loc["rms_w", "value"] == pytest.approx(np.sqrt((2 * 15**2 + 30**2) / 3))
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    no_interval = pd.DataFrame({"group": ["a"], "power_w": [100.0], "predicted_w": [110.0]})
    assert errors(no_interval).loc["mean_absolute_share", "value"] == pytest.approx(0.1)
    assert "coverage" not in errors(no_interval).index
