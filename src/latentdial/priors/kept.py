"""When a net that learns codes was best: by its loss on codes kept apart."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn


def best_state(looks: Iterable[tuple[float, nn.Module]], patience: int) -> tuple[float, dict[str, Tensor]]:
    """The least loss, and the weights of the net that had it; so many looks without gain are the last.

    >>> net = nn.Linear(1, 1)
    >>> best_state(((loss, net) for loss in [3.0, 2.0, 4.0, 5.0, 1.0]), patience=2)[0]
    2.0
    """
    best, state, waited = float("inf"), dict[str, Tensor](), 0
    for loss, net in looks:
        waited = 0 if loss < best else waited + 1
        if loss < best:
            best, state = loss, {name: tensor.clone() for name, tensor in net.state_dict().items()}
        if waited == patience:
            break
    return best, state
