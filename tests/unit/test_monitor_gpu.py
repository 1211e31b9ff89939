"""Graphics cards, by a library of NVML's shape; real cards are on few machines."""

# ruff: noqa: D102, N802  # the names and their meaning are NVML's

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tokencalc.errors import ExtraMissing, FeatureUnavailable
from tokencalc.monitor.gpu import Gpus, nvml
from tokencalc.monitor.samples import Sample


class NvmlError(Exception):
    """What the library raises."""


class Library:
    """Two cards; the second one measures next to nothing."""

    NVMLError = NvmlError
    NVML_TEMPERATURE_GPU = 0

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> bytes | str:
        return b"Card A" if handle == 0 else "Card B"

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return self._only_first(handle, SimpleNamespace(gpu=40, memory=10))

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(total=1000, used=250) if handle == 0 else SimpleNamespace(total=0, used=0)

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> Any:
        return self._only_first(handle, 61 + sensor)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> Any:
        return self._only_first(handle, 150_500)

    @staticmethod
    def _only_first(handle: int, value: Any) -> Any:
        if handle:
            raise NvmlError("not supported")
        return value


def test_each_card_has_its_figures_and_what_it_does_not_measure_is_left_out() -> None:
    labels = {"gpu": "0", "card": "Card A"}
    assert list(Gpus(Library).samples()) == [
        Sample("gpu.utilisation_share", 0.4, labels),
        Sample("gpu.memory_total_bytes", 1000, labels),
        Sample("gpu.memory_used_bytes", 250, labels),
        Sample("gpu.memory_share", 0.25, labels),
        Sample("gpu.temperature_celsius", 61, labels),
        Sample("gpu.power_watts", 150.5, labels),
    ]


def test_a_machine_without_library_or_driver_says_what_to_do() -> None:
    try:
        nvml()
    except (ExtraMissing, FeatureUnavailable) as error:
        missing = error.message
    else:
        pytest.skip("this machine has a driver: nothing is missing")
    assert "pip install 'tokencalc-engine[gpu]'" in missing or "NVIDIA's driver says" in missing
