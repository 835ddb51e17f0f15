"""Measure power and energy of a machine, read the measurements, and publish them safely.

The loggers (:mod:`exawatt.telemetry.rapl`, :mod:`exawatt.telemetry.nvml`) need nothing but the
standard library and the binding of the device: they run on compute nodes.
"""
