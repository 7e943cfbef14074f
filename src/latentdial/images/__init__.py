"""Pictures in: sources, fitting to the net's geometry, splits and batch order. Knows nothing of models."""

from latentdial.images.geometry import fit_picture, read_picture
from latentdial.images.sources import open_images
from latentdial.images.types import ImageSet, Split, batch_order, split

__all__ = ["ImageSet", "Split", "batch_order", "fit_picture", "open_images", "read_picture", "split"]
