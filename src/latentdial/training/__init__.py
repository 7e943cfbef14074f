"""Training: one readable loop, its precision, its checkpoints and what it shows."""

from latentdial.training.start import train

__all__ = ["train"]
