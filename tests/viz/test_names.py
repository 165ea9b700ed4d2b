"""Names that a user can choose, as they are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.errors import ArgumentError, DTypeError
from tinygrad_bn.viz import Recording, diff, draw, record_model
from tinygrad_bn.viz.document import graph_document


def test_a_slash_in_a_modules_name_stays_one() -> None:
    model = nn.Module()
    model.add_module("a/b", nn.Sequential(nn.Linear(3, 4), nn.Tanh()))
    model.forward = lambda x: model._modules["a/b"](x)  # type: ignore[method-assign]
    graph = graph_document(record_model(model, (2, 3)), "x")
    names = [node["name"] for node in graph["nodes"] if node["role"] in ("weight", "activation")]
    assert names == ["a/b.0", "a/b.1"]
    assert set(names) <= {name for name, _ in model.named_modules()}
    assert "a/b" in draw(model, (2, 3)).source


def test_results_in_a_dict_are_called_by_their_keys() -> None:
    def model(x: tg.Tensor) -> dict[str, object]:
        return {"logits": x * 2.0, "both": (x + 1.0, x - 1.0)}

    outputs = [node.label for node in record_model(model, (2,)).nodes if node.role == "output"]
    assert outputs == ["logits", "both", "both"]


def test_a_target_needs_one_result() -> None:
    with pytest.raises(ArgumentError, match="one result for the target, got 2 of them"):
        record_model(lambda x: (x * 2.0, x * 3.0), (2, 3), target=[0, 1])


@pytest.mark.parametrize("call", [lambda m: draw(m, (2, 3), expand=3), lambda m: draw(m, (2, 3), name=3)])
def test_wrong_kinds_of_names_are_told(call: object) -> None:
    with pytest.raises(DTypeError):
        call(nn.Linear(3, 2))  # type: ignore[operator]


@pytest.mark.parametrize("names", [(1, 2), "ab", ("a",)])
def test_a_diff_needs_two_names(names: object) -> None:
    with pytest.raises((DTypeError, ArgumentError)):
        diff(nn.Linear(3, 2), nn.Linear(3, 2), (2, 3), names=names)  # type: ignore[arg-type]


def test_a_recording_is_of_one_graph() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    recording = Recording(model, (2, 3))
    recording.look("start")
    with pytest.raises(DTypeError, match="moment"):
        recording.look(3)  # type: ignore[arg-type]
    model.append(nn.Linear(2, 2))
    with pytest.raises(ArgumentError, match="the graph of the first look"):
        recording.look("later")
    assert [frame["name"] for frame in recording.frames] == ["start"]


def test_a_folder_in_the_way_is_called_by_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "taken.svg"
    folder.mkdir()
    with pytest.raises(IsADirectoryError) as error:
        draw(nn.Tanh(), (2,)).render(tmp_path / "taken", format="svg")
    assert error.value.filename == str(folder)
    assert list(tmp_path.iterdir()) == [folder]
