"""The real cuDNN plans every convolution of our networks, for an H200 that is described to it. Nothing is executed.

cuDNN's planner needs no GPU: it takes a card's properties in words. So this says whether our graphs are ones that cuDNN
knows, with all that we forbid its plans to do, and how much memory they want; `pytest -rP` shows the plans.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tinygrad_bn import no_grad, randn
from tinygrad_bn.backend import get_device
from tinygrad_bn.errors import DeviceError
from tinygrad_bn.kernels import kernels_of
from tinygrad_bn.kernels.cuda import CudaKernels, libraries
from tinygrad_bn.kernels.cuda.cudnn_graphs import Convolution, build, buildable
from tinygrad_bn.kernels.cuda.plans import Plans
from tinygrad_bn.nn.models import build_model

pytestmark = pytest.mark.cpu_only("asks the real libraries, for which no GPU is needed")

H200 = {
    "deviceName": "NVIDIA H200",
    "deviceVer": 900,
    "driverVer": 13000,
    "multiProcessorCount": 132,
    "warpSize": 32,
    "maxGridSize": [2147483647, 65535, 65535],
    "maxBlockSize": [1024, 1024, 64],
    "maxThreadsPerBlock": 1024,
    "maxThreadsPerSM": 2048,
    "maxCtasPerSM": 32,
    "regsPerBlock": 65536,
    "maxRegistersPerSM": 65536,
    "maxSharedMemoryPerBlock": 49152,
    "maxSharedMemoryPerBlockOptin": 232448,
    "reservedSharedMemoryPerBlock": 1024,
    "smClockRateKHz": 1980000,
    "memClockRateKHz": 3201000,
    "l2CacheSize": 62914560,
    "totalGlobalMem": 150754820096,
    "pciDeviceId": 0,
    "cudaDeviceId": 0,
    "deviceId": 0,
    "isTccDriver": 0,
    "supportCoopLaunch": 1,
}
MODELS = {"small_cnn": (1, 28), "vgg11": (3, 32), "vgg16": (3, 32), "resnet20": (3, 32), "mobilenet": (3, 32)}
MODES = [("float32", True), ("float32", False), ("float16", False), ("bfloat16", False), ("float64", False)]


@pytest.fixture(scope="module")
def planner() -> tuple[Any, Any]:
    """Return cuDNN's frontend and the card."""
    try:
        cudnn = libraries.load_cudnn()
    except DeviceError as error:
        pytest.skip(str(error))
    return cudnn, cudnn.create_device_properties(json.dumps(H200))


def plan_of(planner: tuple[Any, Any], convolution: Convolution) -> tuple[str, int]:
    """Return the name of the plan that we would take, and the bytes of its workspace."""
    cudnn, card = planner
    graph = build(cudnn, convolution, device_property=card)
    number, workspace = next(buildable(cudnn, graph))
    return graph.get_plan_name_at_index(number), workspace


def convolutions_of(kernels: CudaKernels, model: str, monkeypatch: pytest.MonkeyPatch) -> list[Convolution]:
    """Return what cuDNN is asked to compute in a training step of a model with one image, each once."""
    channels, side = MODELS[model]
    calls: dict[Any, None] = {}
    cpu = kernels_of(get_device("cpu"))
    conv2d = cpu.conv2d

    def noting(x: Any, weight: Any, bias: Any, *where: Any) -> Any:
        calls[x.shape, weight.shape, bias is not None, where] = None
        return conv2d(x, weight, bias, *where)

    asked: dict[Convolution, None] = {}
    with monkeypatch.context() as patch, no_grad():
        patch.setattr(cpu, "conv2d", noting)
        build_model(model, in_channels=channels, num_classes=10, image_size=side).eval()(randn(1, channels, side, side))
        patch.setattr(Plans, "execute", lambda self, convolution, arrays: asked.setdefault(convolution))
        for x_shape, weight_shape, has_bias, where in calls:
            x, weight = (kernels.xp.empty(shape, "float32") for shape in (x_shape, weight_shape))
            bias = kernels.xp.empty(weight_shape[0], "float32") if has_bias else None
            grad = kernels.conv2d(x, weight, bias, *where)
            kernels.conv2d_input_grad(grad, weight, x_shape[2:], *where)
            kernels.conv2d_weight_grad(x, grad, weight_shape[2:], *where)
    return list(asked)


@pytest.mark.parametrize("batch", [1, 33, 128])
@pytest.mark.parametrize("model", MODELS)
def test_each_convolution_of_a_network_has_a_plan(
    planner: tuple[Any, Any], emulated_gpu: Any, model: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    convolutions = convolutions_of(CudaKernels(get_device("cuda")), model, monkeypatch)
    assert {convolution.kind for convolution in convolutions} == {"forward", "input_grad", "weight_grad"}
    for convolution in convolutions:
        input, output = ((batch, *shape[1:]) for shape in (convolution.input, convolution.output))
        for dtype, strict in MODES if batch == 128 else MODES[:1]:
            asked = convolution._replace(input=input, output=output, dtype=dtype, strict=strict)
            name, workspace = plan_of(planner, asked)
            print(f"{asked}: {name}, {workspace / 2**20:.2f} MiB")
            arrays = sum(map(np.prod, (asked.input, asked.weight, asked.output))) * np.dtype("float64").itemsize
            assert workspace <= 4 * arrays + 2**22
