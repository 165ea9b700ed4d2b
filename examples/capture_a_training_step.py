"""Train twice from the same start, by plain steps and by captured ones: on a GPU a CUDA graph, and the same numbers."""

from __future__ import annotations

import argparse
import sys
import time

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn


def train(device: str, captured: bool, epochs: int) -> tuple[list[float], dict[str, tg.Tensor], float]:
    """Return the loss of every step, the trained network's state, and the seconds that the last epoch has taken."""
    tg.manual_seed(0)
    model = nn.build_model("small_cnn", in_channels=1, num_classes=10, image_size=8).to(device)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    loader = tg.data.DataLoader(tg.data.load("digits", "train"), batch_size=128, shuffle=True, device=device)
    schedule = tg.optim.CosineAnnealingLR(optimizer, epochs * len(loader))

    def step(images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss  # print(loss) here is an error that names this line: nothing is read inside

    repeated = tg.capture(step)
    function = repeated if captured else step
    losses: list[tg.Tensor] = []
    for _ in range(epochs):
        started = time.perf_counter()
        losses += [function(images, labels) for images, labels in loader]  # the last batch is smaller: another graph
        losses[-1].item()  # waits for the device
    seconds = time.perf_counter() - started
    for graph in repeated.graphs:
        print(f"recorded for inputs {[shape for shape, _ in graph.inputs]}, repeated {graph.replays} times")
    return [loss.item() for loss in losses], model.state_dict(), seconds


def main(arguments: list[str] | None = None) -> int:
    """Train both ways, and return 0 if nothing differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="two epochs, for a quick check")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    options = parser.parse_args(arguments)
    epochs = 2 if options.fast else 10

    plain, state, plain_seconds = train(options.device, False, epochs)
    found, captured_state, seconds = train(options.device, True, epochs)
    print(f"{len(plain)} steps on {options.device}: loss {plain[0]:.3f} at first, {plain[-1]:.3f} at last")
    print(f"the last epoch: {plain_seconds:.3f} s by plain steps, {seconds:.3f} s by captured ones")
    same = plain == found and all((state[name] == captured_state[name]).all().item() for name in state)
    print(f"expected the same losses and weights to the last bit, found {'the same' if same else 'others'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
