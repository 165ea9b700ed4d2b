from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import networks, workloads
from benchmarks.arrays import fingerprint, load_arrays, make_arrays, save_arrays
from benchmarks.layers import Conv, convolutions, parameter_shapes
from benchmarks.timing import TOLERANCE, deviation
from benchmarks.worker_ours import Ours, build

GROWING = [workloads.growing(what, min(values)) for what, values in workloads.GROWTH.items()]


@pytest.mark.parametrize("network", [*workloads.NETWORKS, workloads.TINY, *GROWING], ids=lambda network: network.name)
def test_a_description_has_the_parameters_of_our_model_in_their_order(network: workloads.Network) -> None:
    ours = [parameter.shape for parameter in build(network).parameters()]
    assert parameter_shapes(network.layers) == ours


def test_convolutions_know_the_size_of_their_images() -> None:
    assert convolutions(networks.mobilenet(), 32)[-1] == (Conv(1024, 1024, 1), 2)
    assert [side for _, side in convolutions(networks.vgg(11), 32)] == [32, 16, 8, 8, 4, 4, 2, 2]
    assert [side for _, side in convolutions(networks.resnet20(), 32)][-1] == 8


def test_every_workload_is_found_by_its_name() -> None:
    names = [workload.name for workload in workloads.TIMED]
    assert len(names) == len(set(names))
    assert all(workloads.find(workload.name) is workload for workload in workloads.TIMED)
    assert workloads.find("growth-batch-8") == workloads.growing("batch", 8)
    shapes = workloads.convolution_shapes()
    assert workloads.find(shapes[-1].name) == shapes[-1]
    with pytest.raises(KeyError):
        workloads.find("nonsense")


def test_quick_runs_name_workloads_that_exist() -> None:
    names = {workload.name for workload in workloads.TIMED}
    assert names >= workloads.QUICK_OPERATIONS | workloads.QUICK_MEMORY
    assert all(set(workloads.GROWTH_QUICK[what]) <= set(values) for what, values in workloads.GROWTH.items())


# -- the same work ----------------------------------------------------------------------------------------

HALVING = {"padding": 1, "groups": 2, "stride": 2}
WIDTH = {"width": 4}
SMALL: list[workloads.Workload] = [
    workloads.TINY,
    workloads.growing("depth", 1),
    workloads.find("graph"),
    *(
        workloads.Operation(f"small {operation}", "", operation, inputs, output, settings)
        for operation, inputs, output, settings in [
            ("conv2d", {"input": (2, 4, 6, 6), "weight": (8, 2, 3, 3)}, (2, 8, 3, 3), HALVING),
            ("batch_norm", {"input": (4, 3, 2, 2), "weight": (3,), "bias": (3,)}, (4, 3, 2, 2), {}),
            ("norm_act", {"input": (4, 3, 2, 2), "weight": (3,), "bias": (3,)}, (4, 3, 2, 2), {"activation": "tanh"}),
            ("act_norm", {"input": (4, 3, 2, 2), "weight": (3,), "bias": (3,)}, (4, 3, 2, 2), {"activation": "relu"}),
            ("relu", {"input": (3, 5)}, (3, 5), {}),
            ("tanh", {"input": (3, 5)}, (3, 5), {}),
            ("max_pool2d", {"input": (2, 3, 4, 4)}, (2, 3, 2, 2), {}),
            ("avg_pool2d", {"input": (2, 3, 4, 4)}, (2, 3, 2, 2), {}),
            ("linear", {"input": (3, 5), "weight": (4, 5), "bias": (4,)}, (3, 4), {}),
            ("cross_entropy", {"input": (3, 5)}, (), {}),
        ]
    ),
    workloads.Update("small sgd", "", "sgd", ((3, 2), (4,))),
    workloads.Update("small adam", "", "adam", ((3, 2), (4,))),
    workloads.Network("small mobilenet", "", networks.mobilenet(4), "mobilenet", WIDTH, (3, 32, 32), 2, "folded"),
    workloads.Network("small mobilenet", "", networks.mobilenet(4), "mobilenet", WIDTH, (3, 32, 32), 2, "inference"),
]


@pytest.mark.parametrize("layout", ["eager", "channels-last"])
@pytest.mark.parametrize("workload", SMALL, ids=lambda workload: workload.name)
def test_ours_and_pytorch_do_the_same_work(workload: workloads.Workload, layout: str) -> None:
    pytest.importorskip("torch")
    from benchmarks.worker_torch import Torch

    values = make_arrays(workload)
    ours = Ours().prepare(workload, values).results()
    theirs = Torch(layout, threads=1).prepare(workload, values).results()
    training = isinstance(workload, workloads.Network) and workload.mode == "train"
    assert deviation(theirs, ours, losses=training) < TOLERANCE / 10


def test_what_is_timed_computes_again_and_again() -> None:
    prepared = Ours().prepare(workloads.TINY, make_arrays(workloads.TINY))
    first = prepared.results()[0]
    for _ in range(20):
        prepared.step()
    assert prepared.results()[0] < first


# -- arrays -----------------------------------------------------------------------------------------------


def test_arrays_are_the_same_for_the_same_seed_and_survive_a_file(tmp_path: Any) -> None:
    first, second, other = (make_arrays(workloads.TINY, seed) for seed in (1, 1, 2))
    save_arrays(tmp_path / "arrays.npz", first)
    read = load_arrays(tmp_path / "arrays.npz")
    assert first.keys() == second.keys() == read.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
        np.testing.assert_array_equal(array, read[name])
        assert array.dtype == ("int64" if name == "target" else "float32")
    assert (first["input"] != other["input"]).any()


def test_a_fingerprint_tells_signs_and_places() -> None:
    array = np.arange(1.0, 7.0).reshape(2, 3)
    assert fingerprint(array) == fingerprint(array.astype(np.float32))
    assert fingerprint(array)[0] == pytest.approx(np.sqrt(91))
    for changed in (-array, array[::-1], array.reshape(3, 2).T):
        assert fingerprint(changed)[0] == pytest.approx(fingerprint(array)[0])
        assert fingerprint(changed)[1] != pytest.approx(fingerprint(array)[1])
    assert np.isfinite(fingerprint(np.zeros(3))).all()
