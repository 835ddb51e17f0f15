"""The process of a user's last jobs: known answers, and nothing from the future."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from made_jobs import schedule_of
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtr, ndtri
from sklearn.base import clone

import exawatt as ew
from exawatt.predict import LEVELS, BoostedQuantiles, Conformal, Prediction, features
from exawatt.predict import neighbours as module
from exawatt.predict.neighbours import (
    NeighbourGP,
    _Kernel,
    last_completed,
    normal_scores,
    warped,
)
from exawatt.predict.recalibration import Recalibrated

TREES = BoostedQuantiles(n_trees=10)


def small(schedule: ew.Schedule, **settings: int) -> NeighbourGP:
    return NeighbourGP(schedule, TREES, **{"n_neighbours": 6, "n_folds": 2} | settings)


def test_neighbours_are_the_users_jobs_completed_last() -> None:
    # Submission, runtime and user; all start at once.
    rows = [(0, 50, 1), (0, 30, 1), (5, 10, 2), (30, 1e-20, 1), (30, 9, 1), (60, 1, 1), (60, 1, -1)]
    jobs = [
        {"submit_s": s, "runtime_s": r, "procs": 1, "user": u, "requested_s": 60.0}
        for s, r, u in rows
    ]
    made = schedule_of(jobs, [s for s, _, _ in rows])
    everyone = np.ones(7, bool)
    # What ends at a submission counts; a job that ends as it starts does not count for itself.
    expected = [[-1, -1], [-1, -1], [-1, -1], [1, -1], [1, -1], [0, 4], [-1, -1]]
    assert last_completed(made, everyone, 2).tolist() == expected
    everyone[0] = False
    assert last_completed(made, everyone, 3)[5].tolist() == [4, 3, 1]


def test_neighbours_of_random_jobs(schedule: ew.Schedule) -> None:
    user = schedule.workload.jobs["user"].to_numpy()
    named = last_completed(schedule, np.ones(600, bool), 4)
    for job in range(600):
        past = np.flatnonzero(
            (user == user[job]) & (schedule.end_s <= schedule.submit_s[job]) & (user >= 0)
        )
        ends = np.sort(schedule.end_s[past])[::-1][:4]
        assert_array_equal(schedule.end_s[named[job][named[job] >= 0]], ends)


def test_all_neighbours_give_the_exact_conditional() -> None:
    rng = np.random.default_rng(1)
    n = 12
    time_s, x, score = rng.uniform(0, 1e5, n), rng.standard_normal((n, 3)), rng.normal(size=n)
    kernel = _Kernel(3).double()
    with torch.no_grad():
        for each in kernel.parameters():
            each += 0.3 * torch.tensor(rng.standard_normal(each.shape))
    there = np.ones(n - 1)
    there[4] = 0.0
    given = [torch.tensor(each[None]) for each in (time_s, x, score[1:], there)]
    mean, variance = kernel.conditional(*given)
    with torch.no_grad():
        joint = kernel(*(given[:2]))[0].numpy() + np.diag(kernel.noise(given[1])[0].numpy())
    used = np.flatnonzero(there) + 1
    weights = np.linalg.solve(joint[np.ix_(used, used)], joint[used, 0])
    constant = kernel.mean.item()
    assert mean.item() == pytest.approx(constant + weights @ (score[used] - constant))
    assert variance.item() == pytest.approx(joint[0, 0] - weights @ joint[used, 0])
    assert np.linalg.eigvalsh(joint).min() > 0


def test_scores_say_where_what_came_lay_and_lead_back() -> None:
    made = Prediction.normal(np.full(45, 8.0), np.full(45, 0.5))
    came = np.exp(8.0 + 0.5 * ndtri(LEVELS))
    assert_allclose(normal_scores(made, came), ndtri(LEVELS), atol=0.01)
    assert_allclose(normal_scores(made[:2], [0.0, 1e300]), [-3.5, 3.5])
    same = warped(made, np.tile(ndtri(LEVELS), (45, 1)))
    assert_allclose(same.ln_quantiles, made.ln_quantiles)
    # Half a deviation up everywhere; beyond the outermost quantiles, the exponential tail.
    up = warped(made, np.tile(ndtri(LEVELS) + 0.5, (45, 1)))
    assert_allclose(up.ln_quantiles[:, 6:-8], made.ln_quantiles[:, 6:-8] + 0.25, atol=0.02)
    assert_allclose(up.ln_quantiles[:, -1], made.ln_quantile(ndtr(ndtri(0.999) + 0.5)))


@pytest.fixture(scope="module")
def moody() -> ew.Schedule:
    """Return jobs of users whose runtimes change level now and then, which size does not tell."""
    rng = np.random.default_rng(3)
    n = 3000
    user = rng.integers(0, 10, n)
    mood = np.zeros(n)
    for each in range(10):
        own = np.flatnonzero(user == each)
        mood[own] = np.repeat(rng.normal(0, 1.5, len(own) // 25 + 1), 25)[: len(own)]
    jobs = pd.DataFrame(
        {
            "submit_s": np.arange(n) * 1000.0,
            "runtime_s": np.exp(5 + mood + 0.3 * rng.standard_normal(n)).round() + 1,
            "requested_s": 1e5,
            "procs": rng.choice([1, 2, 4], n),
            "user": user,
        }
    )
    return ew.replay(ew.Workload(jobs, procs=1000, name="moody"), "fcfs")


def test_what_the_trees_cannot_know_is_learnt_from_neighbours(moody: ew.Schedule) -> None:
    # Trees that see neither users nor histories.
    table = features(moody)[["procs_ln", "request_ln_s"]]
    runtime, train, test = moody.runtime_s, slice(0, 2000), slice(2000, None)

    class OwnTrees(BoostedQuantiles):
        def predict_distribution(self, X: pd.DataFrame) -> Prediction:
            return super().predict_distribution(X[["procs_ln", "request_ln_s"]])

    trees = OwnTrees(n_trees=10)
    fitted = NeighbourGP(moody, trees, n_epochs=20).fit(table[train], runtime[train])
    predicted = fitted.predict_distribution(table[test])
    alone = fitted.mean_.predict_distribution(table[test])
    assert predicted.crps(runtime[test]).mean() < 0.6 * alone.crps(runtime[test]).mean()
    came = np.log(runtime[test])
    inside = (predicted.ln_quantile(0.05) <= came) & (came <= predicted.ln_quantile(0.95))
    assert inside.mean() == pytest.approx(0.9, abs=0.03)


def test_later_completions_change_nothing(schedule: ew.Schedule) -> None:
    table, train = features(schedule), np.arange(300)
    fitted = small(schedule).fit(table.iloc[train], schedule.runtime_s[train])
    # A moment at which many run.
    last = max(range(301, 599), key=lambda i: (schedule.end_s[:i] > schedule.submit_s[i]).sum())
    now_s, rows = schedule.submit_s[last], np.arange(300, last + 1)
    before = fitted.predict_distribution(table.iloc[rows]).ln_quantiles
    later = schedule.end_s > now_s
    assert later[last:].all() and later[:last].sum() > 2
    assert not later[train].any()
    changed = schedule.runtime_s * np.where(later, 7.0, 1.0)
    other = replace(schedule, runtime_s=changed)
    twin = small(other).fit(table.iloc[train], changed[train])
    assert_array_equal(features(other).iloc[rows], table.iloc[rows])
    after = twin.predict_distribution(features(other).iloc[rows]).ln_quantiles
    assert_array_equal(after, before)
    # A completion before it does change it.
    user = schedule.workload.jobs["user"].to_numpy()
    near = last_completed(schedule, fitted.unseen_, 1)[rows, 0]
    row = int(np.flatnonzero(near >= 0)[-1])
    assert user[near[row]] == user[300 + row]
    earlier = schedule.runtime_s.copy()
    earlier[near[row]] /= 50
    fitted.set_params(schedule=replace(schedule, runtime_s=earlier))
    moved = fitted.predict_distribution(table.iloc[rows]).ln_quantiles
    assert (moved[row] != before[row]).any()


def test_batches_seeds_and_rows_left_out_change_nothing(
    schedule: ew.Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, runtime = features(schedule), schedule.runtime_s
    fitted = small(schedule).fit(table[:400], runtime[:400])
    whole = fitted.predict_distribution(table[400:]).ln_quantiles
    twin = clone(fitted).fit(table[:400], runtime[:400])
    assert_array_equal(twin.predict_distribution(table[400:]).ln_quantiles, whole)
    some = fitted.predict_distribution(table.iloc[[599, 450]]).ln_quantiles
    assert_allclose(some, whole[[199, 50]], atol=1e-5)
    # Neighbours that were learnt from are known as they were then, whoever else is predicted.
    learnt = fitted.predict_distribution(table[200:400]).ln_quantiles
    alone = fitted.predict_distribution(table[399:400]).ln_quantiles
    assert_allclose(alone, learnt[-1:], atol=1e-5)
    monkeypatch.setattr(module, "BATCH", 9)
    assert_allclose(fitted.predict_distribution(table[400:]).ln_quantiles, whole, atol=1e-5)


def test_it_can_be_calibrated(schedule: ew.Schedule) -> None:
    table, runtime = features(schedule), schedule.runtime_s
    fitted = Conformal(small(schedule, n_epochs=1)).fit(table[:400], runtime[:400])
    assert np.isfinite(fitted.predict(table[400:])).all()


def test_it_can_be_recalibrated(schedule: ew.Schedule) -> None:
    table, runtime = features(schedule), schedule.runtime_s
    process = small(schedule, n_epochs=1)
    fitted = Recalibrated(schedule, process, n_recent=40).fit(table[:400], runtime[:400])
    whole = fitted.predict_distribution(table[400:]).ln_quantiles
    alone = fitted.estimator_.predict_distribution(table[400:])
    some = fitted.predict_distribution(table.iloc[[599, 450]]).ln_quantiles
    assert_allclose(some, whole[[199, 50]], atol=1e-4)
    assert_allclose(whole[:, 22], alone.ln_quantile(0.5), atol=1e-4)
    assert abs(whole[:, 2] - alone.ln_quantiles[:, 2]).max() > 0.01


def test_one_job_and_jobs_of_nobody(schedule: ew.Schedule) -> None:
    table, runtime = features(schedule), schedule.runtime_s
    fitted = small(schedule).fit(table[:1], runtime[:1])
    assert np.isfinite(fitted.predict(table)).all()
    nobody = replace(
        schedule,
        workload=ew.Workload(schedule.workload.jobs.assign(user=-1), procs=16, name="nobody"),
    )
    fitted = small(nobody).fit(table[:300], runtime[:300])
    assert np.isfinite(fitted.predict(table)).all()


def test_bad_input_is_refused(schedule: ew.Schedule) -> None:
    table, runtime = features(schedule), schedule.runtime_s
    with pytest.raises(ValueError, match=r"n_neighbours\(=0\) must be 1 or more"):
        small(schedule, n_neighbours=0).fit(table, runtime)
    with pytest.raises(ValueError, match=r"y\[2\]\(=1e\+06\) is not the runtime of job 2 in the"):
        small(schedule).fit(table, np.where(np.arange(600) == 2, 1e6, runtime))
    with pytest.raises(ValueError, match="X must be labelled with numbers of jobs from 0 to 599"):
        small(schedule).fit(table.set_axis(table.index + 1), runtime)
    with pytest.raises(ValueError, match="X has no column 'procs_ln'; pass the table"):
        small(schedule).fit(table.to_numpy(), runtime)
    with pytest.raises(ValueError, match=r"y needs shape \(600,\)"):
        small(schedule).fit(table, runtime[1:])
    with pytest.raises(ValueError, match="NaN"):
        small(schedule).fit(table, np.where(runtime > 300, np.nan, runtime))
