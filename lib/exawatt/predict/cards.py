"""Cards: a trained model in a folder, with what it was made of and what it is good for."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import joblib
import pandas as pd

from exawatt.predict.contract import Contract
from exawatt.predict.estimator import Predictor
from exawatt.predict.values import Prediction

FORMAT = 1
WEIGHTS, CARD, READABLE = "weights.joblib", "card.json", "card.md"
#: Packages whose versions are kept.
PACKAGES = ("exawatt", "scikit-learn", "numpy")
#: Those of which a model needs the version it was saved with, but for the last number.
CHECKED = ("exawatt", "scikit-learn")
TRUST = (
    "The weights are a Python pickle: loading them runs what they contain. The checksum tells that "
    "they are those of this card, not that the card is honest. Load models only from a trusted "
    "source: people whom you would let run programs on your machine."
)


class ModelError(ValueError):
    """A saved model that cannot be used, and what to do."""


@dataclass(frozen=True)
class Data:
    """What a model was trained on.

    Parameters
    ----------
    name, sha256, tier : str
        As of a workload: the tier says whether it was measured, or made up by a twin.
    note : str
        Where its energies come from.
    """

    name: str
    sha256: str
    tier: str
    note: str


@dataclass(frozen=True)
class Card:
    """What a model is.

    Parameters
    ----------
    title : str
    target : str
        What is predicted, and its unit.
    data : tuple of Data
    contract : Contract
        Features that the model takes.
    split : str
        Which rows it learnt from, and which it was tried on.
    n_train, n_test : int
        How many.
    metrics : mapping of str to mapping of str to float
        Scores on the rows tried, of the model and of simpler ones; energies in joules.
    intended_use : str
    limits : tuple of str
    seed : int
    command : str
        What trained it.
    versions : mapping of str to str
        Of the packages; filled in when it is saved.
    weights_sha256 : str
        Of the file of weights; filled in when it is saved.
    format : int
    """

    title: str
    target: str
    data: tuple[Data, ...]
    contract: Contract
    split: str
    n_train: int
    n_test: int
    metrics: Mapping[str, Mapping[str, float]]
    intended_use: str
    limits: tuple[str, ...]
    seed: int
    command: str
    versions: Mapping[str, str]
    weights_sha256: str = ""
    format: int = FORMAT

    @classmethod
    def of_dict(cls, values: Mapping[str, Any]) -> Self:
        """Card from what :func:`to_dict` made."""
        contract = values["contract"]
        categories = {name: tuple(known) for name, known in contract["categories"].items()}
        return cls(
            **dict(values)
            | {
                "data": tuple(Data(**each) for each in values["data"]),
                "contract": Contract(contract["name"], contract["features"], categories),
                "limits": tuple(values["limits"]),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, in which an unknown number is None."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    def to_markdown(self) -> str:
        """Text of the card, for readers."""
        scores = pd.DataFrame(self.metrics).T.astype(float)
        rows = [["", *scores.columns], ["---"] * (1 + len(scores.columns))]
        rows += [[str(name), *map("{:.4g}".format, row)] for name, row in scores.iterrows()]
        parts = {
            "Data": _list(
                f"{each.name} ({each.tier}): {each.note}; sha256 `{each.sha256}`"
                for each in self.data
            ),
            "Features": "All are known at submission; others are refused.\n\n"
            + _list(f"`{name}`: {text}" for name, text in self.contract.features.items()),
            "Scores": f"{self.split} Learnt from {self.n_train:,}, tried on {self.n_test:,}; "
            "energies in joules.\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows),
            "Intended use": self.intended_use,
            "Limits": _list([*self.limits, TRUST]),
            "Made with": _list(
                [
                    *(f"{name} {number}" for name, number in self.versions.items()),
                    f"seed {self.seed}",
                    f"`{self.command}`",
                    f"weights: `{WEIGHTS}`, sha256 `{self.weights_sha256}`",
                ]
            ),
        }
        body = "".join(f"\n## {heading}\n\n{text}\n" for heading, text in parts.items())
        return f"# {self.title}\n\nPredicts {self.target}, as a distribution.\n{body}"


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A trained model and its card.

    Parameters
    ----------
    predictor : Predictor
        Fitted to tables that the card's contract makes.
    card : Card
    """

    predictor: Predictor
    card: Card

    def __repr__(self) -> str:
        """Return the model in one line."""
        return f"Surrogate({self.card.title}, {len(self.card.contract.features)} features)"

    def predict_distribution(self, X: pd.DataFrame) -> Prediction:
        """Predict each row.

        Parameters
        ----------
        X : DataFrame
            The features of the contract, and no others.

        Raises
        ------
        ValueError
            The features are out of contract, see :meth:`~exawatt.predict.contract.Contract.table`.
        """
        return self.predictor.predict_distribution(self.card.contract.table(X))


def versions() -> dict[str, str]:
    """Versions of the packages that a model depends on."""
    return {name: version(name) for name in PACKAGES}


def save(surrogate: Surrogate, folder: Path | str) -> Card:
    """Write a model's weights, its card, and the card for readers into a folder.

    Returns
    -------
    Card
        With the checksum of the weights.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise ModelError(f"{path} is no folder; pass one, which is made if need be.")
    path.mkdir(parents=True, exist_ok=True)
    joblib.dump(surrogate.predictor, path / WEIGHTS, compress=3)
    card = replace(surrogate.card, weights_sha256=_sha256(path / WEIGHTS))
    text = json.dumps(card.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    (path / CARD).write_text(text + "\n", encoding="utf-8")
    (path / READABLE).write_text(card.to_markdown(), encoding="utf-8")
    return card


def load(folder: Path | str) -> Surrogate:
    """Read a model that :func:`save` wrote. **Only from a trusted source:** see the card's limits.

    Raises
    ------
    ModelError
        A file is missing or damaged, the weights are not those of the card, or the versions of
        the format or of a package do not fit. All this is found before the weights are unpickled.
    """
    path = Path(folder)
    card = read_card(path)
    weights = path / WEIGHTS
    if not weights.is_file():
        raise ModelError(f"{weights} is missing; copy the whole folder of the model.")
    found = _sha256(weights)
    if found != card.weights_sha256:
        raise ModelError(
            f"{weights} has sha256 {found}, but its card says {card.weights_sha256}: it was "
            "changed or damaged. Copy the model again, or train it anew."
        )
    return Surrogate(joblib.load(weights), card)


def read_card(folder: Path | str) -> Card:
    """Card of a saved model, if this version of the package can use the model."""
    path = Path(folder) / CARD
    if not path.is_file():
        raise ModelError(f"{folder} holds no {CARD}; pass the folder that a model was saved in.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        number = values["format"]
    except (ValueError, KeyError, TypeError):
        raise ModelError(f"{path} is no card of a model; copy it again.") from None
    if number != FORMAT:
        raise ModelError(
            f"{path} has format {number!r}, and this version of exawatt reads {FORMAT}; train "
            "the model anew."
        )
    try:
        card = Card.of_dict(values)
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is no whole card ({error}); copy it again.") from None
    _check_versions(path, card)
    return card


def _check_versions(path: Path, card: Card) -> None:
    here = versions()
    for name in CHECKED:
        saved = str(card.versions.get(name, "unknown"))
        if _minor(saved) != _minor(here[name]):
            raise ModelError(
                f"{path.parent} was saved with {name} {saved}, and this is {here[name]}: weights "
                f"mean nothing in another. Install {name}=={saved}, or train the model anew:\n"
                f"  {card.command}"
            )


def _minor(number: str) -> list[str]:
    return number.split(".")[:2]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _plain(value: Any) -> Any:
    """JSON's own values: an unknown number is None."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):  # NumPy's too
        return float(value) if math.isfinite(value) else None
    return value


def _list(lines: Any) -> str:
    return "\n".join(f"- {line}" for line in lines)
