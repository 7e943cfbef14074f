"""Run directories: reading one as a codec, listing many, making one of weights trained elsewhere."""
