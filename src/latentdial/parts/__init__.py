"""The axes of a model, one module each: network, bottleneck, prior, likelihood, objective.

Siblings never import each other; `latentdial.model` puts them together and `latentdial.recipes` chooses them.
"""
