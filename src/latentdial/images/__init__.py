"""Pictures in: sources, fitting to the net's geometry, the cache, splits and batch order. Knows nothing of models."""

from latentdial.images.check import Check
from latentdial.images.geometry import fit_picture
from latentdial.images.pictures import Pictures
from latentdial.images.pool import read_picture
from latentdial.images.sources import open_at_once, open_images
from latentdial.images.splits import Split, batch_order, split, split_images, spread
from latentdial.images.types import Columns, ImageSet

__all__ = [
    "Check",
    "Columns",
    "ImageSet",
    "Pictures",
    "Split",
    "batch_order",
    "fit_picture",
    "open_at_once",
    "open_images",
    "read_picture",
    "split",
    "split_images",
    "spread",
]
