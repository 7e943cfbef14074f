"""Densities of codes that are fitted after training, so that any autoencoder can be sampled."""
