"""Which validation was the best so far."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from latentdial.config import TrainSettings
from latentdial.errors import LatentdialError
from latentdial.recipes import Recipe
from latentdial.texts import suggestion
from latentdial.training.loop import Record

LOSS = "loss"


@dataclass
class Best:
    """The best validation so far; none is where values do not `compare` from one step to another."""

    monitor: str
    compare: bool = True
    value: float = math.inf
    step: int = 0
    waited: int = 0  # validations since
    weights: dict[str, Tensor] | None = None

    def better(self, record: Record) -> bool:
        """Take note of a validation; whether it is the best so far."""
        if self.monitor not in record:
            terms = sorted(record.keys() - {"split", "step", "epoch", "seconds"})
            raise LatentdialError(
                f"there is no validation term {self.monitor!r}: {suggestion(self.monitor, terms, '--monitor takes')}"
            )
        value = float(record[self.monitor])
        if not self.compare:
            return False
        if not value < self.value:
            self.waited += 1
            return False
        self.value, self.step, self.waited = value, int(record["step"]), 0
        return True


def best_of(recipe: Recipe, settings: TrainSettings) -> Best:
    """What takes note of a recipe's validations: a loss that a rival has a say in compares with no other step's.

    The rival has learnt between them, so a lower loss may only say that it was worse: the last weights are published.
    """
    compare = not recipe.rivals or settings.monitor != LOSS
    if settings.patience and not compare:
        raise LatentdialError(
            "--patience needs a term that compares from step to step, and this loss is against a critic that learns: "
            "name one, such as --monitor nll"
        )
    return Best(settings.monitor, compare)
