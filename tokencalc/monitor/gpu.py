"""Graphics cards by the extra ``gpu`` (nvidia-ml-py), imported when first asked.

A machine without the library, the driver or a card has no such figures; that is told once and no error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.errors import ExtraMissing, FeatureUnavailable
from tokencalc.monitor.samples import Sample, bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MILLIWATTS_PER_WATT = 1000


def nvml() -> Any:
    """Return NVIDIA's library, started; ExtraMissing says how to install it, FeatureUnavailable that no driver runs."""
    try:
        import pynvml  # noqa: PLC0415  # an extra, imported when used
    except ImportError as error:
        raise ExtraMissing(
            "figures of graphics cards need the extra gpu: pip install 'tokencalc-engine[gpu]'",
            extra="gpu",
            install="pip install 'tokencalc-engine[gpu]'",
        ) from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise FeatureUnavailable(f"no figures of graphics cards: NVIDIA's driver says {error}", feature="gpu") from None
    return pynvml


class Gpus:
    """The cards of this machine; `samples` raises where there is no library or no driver."""

    def __init__(self, library: Callable[[], Any] = nvml) -> None:
        """Use a library of NVML's shape; it is loaded with the first call."""
        self._load = library
        self._library: Any = None

    def samples(self) -> Iterator[Sample]:
        """Yield the figures of each card; what a card does not measure is left out."""
        if self._library is None:
            self._library = self._load()
        library = self._library
        for index in range(library.nvmlDeviceGetCount()):
            handle = library.nvmlDeviceGetHandleByIndex(index)
            yield from self._card(library, handle, {"gpu": str(index)})

    def _card(self, library: Any, handle: Any, labels: dict[str, str]) -> Iterator[Sample]:
        name = self._asked(library.nvmlDeviceGetName, handle)
        if name is not None:
            labels["card"] = bounded(name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name))
        rates = self._asked(library.nvmlDeviceGetUtilizationRates, handle)
        if rates is not None:
            yield Sample("gpu.utilisation_share", rates.gpu / 100, labels)
        memory = self._asked(library.nvmlDeviceGetMemoryInfo, handle)
        if memory is not None and memory.total:
            yield Sample("gpu.memory_total_bytes", memory.total, labels)
            yield Sample("gpu.memory_used_bytes", memory.used, labels)
            yield Sample("gpu.memory_share", memory.used / memory.total, labels)
        degrees = self._asked(library.nvmlDeviceGetTemperature, handle, library.NVML_TEMPERATURE_GPU)
        if degrees is not None:
            yield Sample("gpu.temperature_celsius", degrees, labels)
        power = self._asked(library.nvmlDeviceGetPowerUsage, handle)
        if power is not None:
            yield Sample("gpu.power_watts", power / _MILLIWATTS_PER_WATT, labels)

    def _asked(self, question: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return question(*arguments)
        except self._library.NVMLError:
            return None
