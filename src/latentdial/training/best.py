"""Which validation was the best so far."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from latentdial.errors import LatentdialError
from latentdial.texts import suggestion
from latentdial.training.loop import Record


@dataclass
class Best:
    """The best validation so far."""

    monitor: str
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
        if not value < self.value:
            self.waited += 1
            return False
        self.value, self.step, self.waited = value, int(record["step"]), 0
        return True
