"""Published models, each a short builder over the same parts: a new one is a decorated function in a file here.

Files of this package are found by themselves. Other packages add builders under the entry-point group
`latentdial.recipes`, each with the name of its recipe.
"""

from importlib import import_module
from pkgutil import iter_modules

from latentdial.recipes.registry import (
    RECIPES,
    Recipe,
    build,
    builder_of,
    hints_of,
    names,
    options_of,
    parse_options,
    recipe,
    takes_labels,
)

for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")

__all__ = [
    "RECIPES",
    "Recipe",
    "build",
    "builder_of",
    "hints_of",
    "names",
    "options_of",
    "parse_options",
    "recipe",
    "takes_labels",
]
