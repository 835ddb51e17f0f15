"""Readers: files become workloads and intensity series, and nothing is lost on the way."""

from exawatt.readers.catalog import load, load_intensity
from exawatt.readers.files import TraceError
from exawatt.readers.sacct import read_sacct
from exawatt.readers.swf import read_swf, write_swf

__all__ = ["TraceError", "load", "load_intensity", "read_sacct", "read_swf", "write_swf"]
