"""Contracts: the features that a saved model takes, all known when a job is submitted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

#: Columns of logs that are known only when a job has started or ended, and when and why.
OUTCOMES = {
    "CPUTimeRAW": "elapsed time by processors, known when the job has ended",
    "ResvCPURAW": "time waited by processors, known when the job has started",
    "ConsumedEnergyRaw": "the energy itself",
    "ElapsedRaw": "the runtime, known when the job has ended",
    "Elapsed": "the runtime, known when the job has ended",
    "AllocCPUS": "what the job was given, known when it has started; ReqCPUS is the request",
    "AllocNodes": "what the job was given, known when it has started; ReqNodes is the request",
    "Start": "known when the job has started",
    "End": "known when the job has ended",
    "State": "how the job ended",
    "MaxRSS": "memory used, known when the job has ended",
    "TotalCPU": "processor time used, known when the job has ended",
    "runtime_s": "the runtime, known when the job has ended",
    "wait_s": "the wait, known when the job has started",
    "status": "how the job ended",
    "cpu_s": "processor time used, known when the job has ended",
    "max_rss_kb": "memory used, known when the job has ended",
    "power_w": "energy over runtime, known when the job has ended",
    "energy_j": "the energy itself",
    "energy_kwh": "the energy itself",
    "epoch_s": "time of an epoch, known when one was run",
    "time_per_epoch": "time of an epoch, known when one was run",
    "average_power": "power measured while the job ran",
    "target_epoch": "epochs that it took, known when the job has ended",
}


@dataclass(frozen=True)
class Contract:
    """Features that a model was trained with, and takes.

    Parameters
    ----------
    name : str
        What the rows are, such as ``jobs``.
    features : mapping of str to str
        Meaning of each feature, with its unit, in order.
    categories : mapping of str to tuple of str, optional
        Known values of the features that are texts. Another value counts as unknown.
    """

    name: str
    features: Mapping[str, str]
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def table(self, X: Any) -> pd.DataFrame:
        """Features as numbers, in order, if they are those of the contract.

        Parameters
        ----------
        X : DataFrame
            The features, in any order; NaN where unknown.

        Returns
        -------
        DataFrame
            Texts by their place among the categories.

        Raises
        ------
        ValueError
            A column is missing, outside of the contract or there twice, or holds infinity or
            texts that should be numbers; or there is no row.
        """
        if not isinstance(X, pd.DataFrame):
            raise ValueError(
                f"features(={type(X).__name__}) must be a DataFrame, whose columns have names."
            )
        self._refuse_columns(list(X.columns))
        if X.empty:
            raise ValueError("features have no row; pass one or more.")
        columns = {name: self._numbers(name, X[name]) for name in self.features}
        return pd.DataFrame(columns, index=X.index)

    def _refuse_columns(self, names: list[Any]) -> None:
        for name in names:
            if name in self.features:
                continue
            if name in OUTCOMES:
                raise ValueError(
                    f"column {name!r} is an outcome ({OUTCOMES[name]}), and nothing that is not "
                    "known at submission may be a feature; leave it out."
                )
            raise ValueError(
                f"column {name!r} is not in the contract of {self.name}; pass only "
                f"{', '.join(self.features)}."
            )
        for name, meaning in self.features.items():
            if name not in names:
                raise ValueError(
                    f"column {name!r} is missing ({meaning}); pass it, with NaN where unknown."
                )
            if names.count(name) > 1:
                raise ValueError(f"column {name!r} is there {names.count(name)} times; pass one.")

    def _numbers(self, name: str, column: pd.Series) -> pd.Series:
        """Values of a feature as numbers, NaN where unknown."""
        if name in self.categories:
            codes = {text: float(code) for code, text in enumerate(self.categories[name])}
            return column.map(codes).astype(np.float64)
        try:
            numbers = column.astype(np.float64)
        except (TypeError, ValueError):
            raise ValueError(
                f"column {name!r} must hold numbers ({self.features[name]}), not "
                f"{column.dtype} such as {column.iloc[0]!r}."
            ) from None
        infinite = np.isinf(numbers.to_numpy())
        if infinite.any():
            row = int(infinite.argmax())
            raise ValueError(
                f"column {name!r} is infinite in row {row}; pass a number, or NaN where unknown."
            )
        return numbers
