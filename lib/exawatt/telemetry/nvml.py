"""GPUs as a source of samples: power, energy counter and load, through NVML.

The binding is ``nvidia-ml-py``, imported when the source is opened. What a GPU does not measure at
all is found then, once, and stands in the sidecar. Any other failure costs the cells it concerns,
and the row's status names it.

The energy counter is read at every tick, although reading it takes milliseconds on some GPUs where
power takes microseconds, and although it steps only about every 100 ms: nothing else gives energy
without an assumption about what happened between ticks. Rows carry the moment at which their own
GPU was read, so that several slow counters do not blur time; ticks that come late are counted.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from math import nan
from typing import Any, NamedTuple

from exawatt.telemetry import options
from exawatt.telemetry.recorder import OK, Instant, Metric, Row, SourceError, run, say

_NAME = "nvml"
_NO_GPU = "the driver sees no GPU."
_MIB = 2**20
_GA100 = (8, 0)  # the lowest compute capability of Ampere, and of no other chip
# Members of NVML's union of values in order of its value types.
_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")


class _Reading(NamedTuple):
    """One call of the driver and the columns it fills."""

    columns: tuple[str, ...]
    read: Callable[[Any], tuple[int | float, ...]]


def _readings(nvml: Any) -> tuple[_Reading, ...]:
    """Calls of one tick in order of the columns."""

    def instant_power(gpu: Any) -> tuple[float]:
        wanted = nvml.NVML_FI_DEV_POWER_INSTANT, nvml.NVML_POWER_SCOPE_GPU
        field = nvml.nvmlDeviceGetFieldValues(gpu, (wanted,))[0]
        return (_field_value(nvml, field) / 1000,)

    def utilisation(gpu: Any) -> tuple[float, float]:
        rates = nvml.nvmlDeviceGetUtilizationRates(gpu)
        return rates.gpu / 100, rates.memory / 100

    return (
        _Reading(("power_w",), lambda gpu: (nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,)),
        _Reading(("instant_power_w",), instant_power),
        _Reading(("energy_mj",), lambda gpu: (nvml.nvmlDeviceGetTotalEnergyConsumption(gpu),)),
        _Reading(("utilisation", "memory_utilisation"), utilisation),
        _Reading(
            ("memory_used_mib",), lambda gpu: (nvml.nvmlDeviceGetMemoryInfo(gpu).used / _MIB,)
        ),
        _Reading(
            ("sm_clock_mhz",),
            lambda gpu: (nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),),
        ),
        _Reading(
            ("temperature_c",),
            lambda gpu: (nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),),
        ),
    )


def _field_value(nvml: Any, field: Any) -> int | float:
    """Value of a field that was asked for; each field has its own error and its own type."""
    if field.nvmlReturn != nvml.NVML_SUCCESS:
        raise nvml.NVMLError(field.nvmlReturn)
    if field.valueType >= len(_MEMBERS):
        raise nvml.NVMLError(nvml.NVML_ERROR_UNKNOWN)
    value: int | float = getattr(field.value, _MEMBERS[field.valueType])
    return value


def _phrase(error: Exception) -> str:
    """What NVML says of an error, as a status."""
    return str(error).lower().replace(",", "").rstrip(".")


class _Gpu:
    """One GPU: what is known of it, and its rows."""

    def __init__(self, nvml: Any, index: int) -> None:
        self.nvml = nvml
        self.index = index
        self.unsupported: set[str] = set()
        self._facts: dict[str, Any] = {}
        self._readings: list[_Reading] = []
        self._handle: Any = None
        self._lost = nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED

    def open(self) -> None:
        """Get hold of the GPU unless that is done; raise NVMLError where it does not answer."""
        if self._handle is not None:
            return
        handle = self.nvml.nvmlDeviceGetHandleByIndex(self.index)
        readings = _readings(self.nvml)
        self.unsupported = set(_unsupported(self.nvml, handle, readings))
        supported = {name: name not in self.unsupported for name in NvmlSource.columns[1:]}
        self._facts = {**_facts(self.nvml, handle), "supported": supported}
        self._readings = [each for each in readings if self.unsupported.isdisjoint(each.columns)]
        self._handle = handle

    def describe(self) -> dict[str, Any]:
        """Return what the sidecar says of this GPU; no more than its index before it answered."""
        return {"device": self.index, **self._facts}

    def row(self) -> Row:
        """Read everything once; a lost GPU costs one call, until it answers again."""
        instant = Instant.now()
        cells: dict[str, int | float] = dict.fromkeys(NvmlSource.columns, nan)
        cells["device"] = self.index
        status = OK
        try:
            self.open()
        except self.nvml.NVMLError as error:
            status = _phrase(error)
        for columns, read in self._readings:
            try:
                cells.update(zip(columns, read(self._handle), strict=True))
            except self.nvml.NVMLError as error:
                status = _phrase(error) if status == OK else status
                if error.value in self._lost:
                    break
        return Row(tuple(cells.values()), status, instant)


def _unsupported(nvml: Any, gpu: Any, readings: Sequence[_Reading]) -> Iterator[str]:
    """Columns that a GPU or its driver does not know; other errors say nothing of that."""
    for columns, read in readings:
        try:
            read(gpu)
        except nvml.NVMLError as error:
            if error.value in (
                nvml.NVML_ERROR_NOT_SUPPORTED,
                nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
                nvml.NVML_ERROR_INVALID_ARGUMENT,  # a field that is newer than the driver
            ):
                yield from columns


def _facts(nvml: Any, gpu: Any) -> dict[str, Any]:
    """What does not change while recording; None where the driver does not say."""

    def known(function: str) -> Any:
        try:
            return getattr(nvml, function)(gpu)
        except nvml.NVMLError:
            return None

    def watts(function: str) -> float | None:
        milliwatts = known(function)
        return None if milliwatts is None else milliwatts / 1000

    mig = known("nvmlDeviceGetMigMode")
    capability = known("nvmlDeviceGetCudaComputeCapability")
    return {
        "uuid": known("nvmlDeviceGetUUID"),
        "name": known("nvmlDeviceGetName"),
        "architecture": _architecture(nvml, known("nvmlDeviceGetArchitecture")),
        "compute_capability": capability and "{}.{}".format(*capability),
        "power_w_is_1s_mean": capability and capability > _GA100,
        "power_limit_w": watts("nvmlDeviceGetPowerManagementLimit"),
        "default_power_limit_w": watts("nvmlDeviceGetPowerManagementDefaultLimit"),
        "enforced_power_limit_w": watts("nvmlDeviceGetEnforcedPowerLimit"),
        "mig_enabled": mig and mig[0] == nvml.NVML_DEVICE_MIG_ENABLE,
    }


def _architecture(nvml: Any, number: int | None) -> str | None:
    """Name of an architecture, such as ``hopper``."""
    prefix = "NVML_DEVICE_ARCH_"
    names = {getattr(nvml, name): name for name in dir(nvml) if name.startswith(prefix)}
    return names[number].removeprefix(prefix).lower() if number in names else None


class NvmlSource:
    """The GPUs of this machine, or some of them.

    Parameters
    ----------
    devices : sequence of str
        Indices or UUIDs; all GPUs that this user may read when empty. A MIG device stands for
        its whole GPU, which is what power refers to.

    Raises
    ------
    SourceError
        There is no binding, no driver, or no such GPU.

    Notes
    -----
    ``power_w`` is a mean over 1 s since Ampere, except on GA100; each GPU's ``power_w_is_1s_mean``
    says which. ``energy_mj`` counts since the driver was loaded. Utilisation is a part of time, in
    [0, 1]: that of any kernel running, and of memory being read or written. ``memory_used_mib``
    includes what the driver reserves.
    """

    name = _NAME
    format = "exawatt-nvml-1"
    columns: tuple[str, ...] = (
        "device",
        "power_w",
        "instant_power_w",
        "energy_mj",
        "utilisation",
        "memory_utilisation",
        "memory_used_mib",
        "sm_clock_mhz",
        "temperature_c",
    )
    metrics: tuple[Metric, ...] = (
        Metric("power_w", "power_watts", "Power; a mean over 1 s on most GPUs since Ampere."),
        Metric("instant_power_w", "instant_power_watts", "Power at this moment."),
        Metric(
            "energy_mj", "energy_joules", "Energy since the driver was loaded.", "counter", 1e-3
        ),
        Metric("utilisation", "utilisation_ratio", "Part of the time with a kernel running."),
        Metric(
            "memory_utilisation",
            "memory_utilisation_ratio",
            "Part of the time with memory being read or written.",
        ),
        Metric("memory_used_mib", "memory_used_bytes", "Memory in use.", scale=_MIB),
        Metric("sm_clock_mhz", "sm_clock_hertz", "Clock of the processors.", scale=1e6),
        Metric("temperature_c", "temperature_celsius", "Temperature of the chip."),
    )

    def __init__(self, devices: Sequence[str] = ()) -> None:
        self._nvml = _start()
        try:
            self._gpus = [_Gpu(self._nvml, index) for index in _choose(self._nvml, devices)]
            self._versions = {
                "driver_version": self._nvml.nvmlSystemGetDriverVersion(),
                "nvml_version": self._nvml.nvmlSystemGetNVMLVersion(),
            }
        except self._nvml.NVMLError as error:
            raise SourceError(f"NVML does not answer: {_phrase(error)}.") from None
        for gpu in self._gpus:
            _open_aloud(gpu)

    def describe(self) -> dict[str, Any]:
        """Return versions, and for each GPU its identity, limits and what it measures."""
        return {**self._versions, "devices": [gpu.describe() for gpu in self._gpus]}

    def sample(self) -> list[Row]:
        """Read each GPU once."""
        return [gpu.row() for gpu in self._gpus]

    def close(self) -> None:
        """Let go of the driver."""
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()


def main(argv: Sequence[str] | None = None) -> int:
    """Record GPUs as the command line says; return the exit status."""
    parser = options.parser(_NAME, "Record power, energy and load of NVIDIA GPUs.", argv)
    parser.add_argument(
        "--device",
        action="append",
        default=[],
        metavar="INDEX|UUID",
        help="a GPU, or several with commas; may be repeated (default: all that may be read)",
    )
    arguments = parser.parse_args(argv)
    devices = [name.strip() for names in arguments.device for name in names.split(",")]
    return run(lambda: NvmlSource(devices), _NAME, options.read(arguments))


def _start() -> Any:
    """Load the binding and the driver's library."""
    try:
        nvml = import_module("pynvml")
    except ModuleNotFoundError:
        raise SourceError("a package is missing: pip install nvidia-ml-py.") from None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        help_for = {
            nvml.NVML_ERROR_LIBRARY_NOT_FOUND: "libnvidia-ml.so.1 is not here; it comes with the "
            "NVIDIA driver, and a container must be given it (docker run --gpus all).",
            nvml.NVML_ERROR_DRIVER_NOT_LOADED: "the NVIDIA driver is not loaded; modprobe nvidia "
            "loads it.",
            nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the library is not of the version of the "
            "loaded driver; restart the machine after an update.",
            nvml.NVML_ERROR_NOT_FOUND: _NO_GPU,
        }
        otherwise = f"NVML does not start: {_phrase(error)}."
        raise SourceError(help_for.get(error.value, otherwise)) from None
    return nvml


def _choose(nvml: Any, devices: Sequence[str]) -> list[int]:
    """Indices of the GPUs that are asked for, each once."""
    count = nvml.nvmlDeviceGetCount()
    if count == 0:
        raise SourceError(_NO_GPU)
    if devices:
        return list(dict.fromkeys(_index(nvml, count, device) for device in devices))
    allowed = [index for index in range(count) if not _forbidden(nvml, index)]
    if not allowed:
        raise SourceError(f"none of the {count} GPUs may be read by this user or in this job.")
    return allowed


def _index(nvml: Any, count: int, device: str) -> int:
    """Index of the GPU that an index or a UUID names."""
    try:
        if device.isascii() and device.isdigit():
            index = int(device)
            if index < count and not _forbidden(nvml, index):
                return index
        else:
            gpu = nvml.nvmlDeviceGetHandleByUUID(device)
            if device.startswith("MIG"):
                gpu = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(gpu)
            found: int = nvml.nvmlDeviceGetIndex(gpu)
            return found
    except nvml.NVMLError:
        pass
    there = ", ".join(_identity(nvml, index) for index in range(count))
    raise SourceError(f"--device {device!r} names no GPU that can be read; there is {there}.")


def _forbidden(nvml: Any, index: int) -> bool:
    """Whether this GPU is kept from us, as a batch system does with those of other jobs."""
    try:
        nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as error:
        return bool(error.value == nvml.NVML_ERROR_NO_PERMISSION)
    return False


def _identity(nvml: Any, index: int) -> str:
    """Index and UUID of a GPU, or what keeps it from being read."""
    try:
        uuid = nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(index))
    except nvml.NVMLError as error:
        uuid = _phrase(error)
    return f"{index} ({uuid})"


def _open_aloud(gpu: _Gpu) -> None:
    """Open a GPU, and say what its rows will lack."""
    try:
        gpu.open()
    except gpu.nvml.NVMLError as error:
        say(f"{_NAME}: GPU {gpu.index}: {_phrase(error)}; it is tried again at every tick.")
    if gpu.unsupported:
        lacking = ", ".join(column for column in NvmlSource.columns if column in gpu.unsupported)
        say(f"{_NAME}: GPU {gpu.index} does not measure {lacking}: nan in every row.")
