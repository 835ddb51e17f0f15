"""What every predictor has in common: scikit-learn's interface, and a distribution."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, validate_data

from exawatt.predict.values import Prediction
from exawatt.replay import Schedule
from exawatt.replay.state import Integers
from exawatt.stats import Floats


class Predictor(RegressorMixin, BaseEstimator):
    """A regressor of a positive quantity, such as a runtime in seconds.

    Targets below 1 count as 1; a target that is negative, NaN or infinite is refused, and so is
    an infinite feature. An unknown feature is NaN.
    """

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Learn.

        Parameters
        ----------
        X : DataFrame or array_like, shape (n, n_features)
            Features, in order of submission.
        y : array_like, shape (n,)
            What came, for example runtimes [s].
        """
        raise NotImplementedError

    def predict_distribution(self, X: Any) -> Prediction:
        """What will come, as a distribution for each row of features."""
        raise NotImplementedError

    def predict(self, X: Any) -> Floats:
        """Median of what will come, in the unit of the target."""
        return self.predict_distribution(X).median

    def __sklearn_tags__(self) -> Any:
        """Say what scikit-learn's own checks may feed it."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.positive_only = True
        return tags

    def _checked(self, X: Any, y: ArrayLike) -> tuple[Floats, Floats]:
        """Features and targets to learn from, as arrays."""
        table, target = validate_data(
            self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", y_numeric=True
        )
        refuse_target(target)
        return table, target

    def _checked_features(self, X: Any) -> Floats:
        """Features to predict from, as an array."""
        return validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)


def checked_columns(X: Any, names: list[str]) -> Floats:
    """Some columns of a table of features, as an array.

    Raises
    ------
    ValueError
        `X` has no such columns, no row, or an infinite value in them.
    """
    missing = [name for name in names if name not in getattr(X, "columns", ())]
    if missing:
        raise ValueError(f"X has no column {missing[0]!r}; pass the table that features() makes.")
    return check_array(X[names], dtype=np.float64, ensure_all_finite="allow-nan")


def checked_target(y: ArrayLike, n: int) -> Floats:
    """Targets as an array, one for each of `n` rows."""
    target: Floats = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
    if target.shape != (n,):
        raise ValueError(f"y needs shape ({n},), one value a row, not {target.shape}.")
    refuse_target(target)
    return target


def refuse_target(target: Floats) -> None:
    """Refuse negative quantities."""
    if (target < 0).any():
        row = int((target < 0).argmax())
        raise ValueError(f"y[{row}](={target[row]:g}) must not be negative.")


def job_numbers(schedule: Schedule, X: Any) -> Integers:
    """Numbers of the jobs whose features are given."""
    jobs, n = np.asarray(getattr(X, "index", None)), len(schedule.workload)
    if jobs.dtype.kind not in "iu" or not ((jobs >= 0) & (jobs < n)).all():
        raise ValueError(
            f"X must be labelled with numbers of jobs from 0 to {n - 1}, as rows of "
            "features(schedule) are."
        )
    return jobs.astype(np.int64)


def checked_runtimes(schedule: Schedule, jobs: Integers, y: ArrayLike) -> Floats:
    """Targets, which must be the runtimes that other jobs are known by."""
    target, runtime = checked_target(y, len(jobs)), schedule.runtime_s[jobs]
    other = ~np.isclose(target, runtime)
    if other.any():
        row = int(other.argmax())
        raise ValueError(
            f"y[{row}](={target[row]:g}) is not the runtime of job {jobs[row]} in the "
            f"schedule, {runtime[row]:g} s."
        )
    return target
