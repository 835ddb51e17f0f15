"""Experiments: results that take longer than a build of the book may, kept with what made them."""

from exawatt.experiment.results import Input, Manifest, Result, StaleError, load, save

__all__ = ["Input", "Manifest", "Result", "StaleError", "load", "save"]
