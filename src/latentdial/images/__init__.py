"""Pictures in: sources, fitting to the net's geometry, the cache, splits and batch order. Knows nothing of models."""

from latentdial.images.check import Check
from latentdial.images.geometry import fit_picture
from latentdial.images.parts import Parts, open_for, open_parts, split_for
from latentdial.images.pictures import Pictures
from latentdial.images.pool import read_picture
from latentdial.images.sources import lasting_source, open_at_once, open_images
from latentdial.images.splits import Split, batch_order, split, split_images, spread
from latentdial.images.types import Columns, ImageSet

__all__ = [
    "Check",
    "Columns",
    "ImageSet",
    "Parts",
    "Pictures",
    "Split",
    "batch_order",
    "fit_picture",
    "lasting_source",
    "open_at_once",
    "open_for",
    "open_images",
    "open_parts",
    "read_picture",
    "split",
    "split_for",
    "split_images",
    "spread",
]
