"""What is imported is declared, the core works without the extras, and what is shipped is whole."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "latentdial"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = packages_distributions() | {"umap": ["umap-learn"]}  # which the extra `dev` leaves out
RUN_AS_PROCESSES = {
    SOURCE / "images" / "drawing.py"
}  # of which nothing is imported before the extra is known to be there
NOT_IMPORTED = {"docstring-parser"}  # with it jsonargparse reads the help of options


def names_of(requirements: list[str]) -> set[str]:
    """The packages of requirements, with those of this project's own extras in place of them."""
    found = set()
    for one in map(Requirement, requirements):
        extras = [PROJECT["optional-dependencies"][extra] for extra in one.extras] if one.name == "latentdial" else []
        found |= set().union(*map(names_of, extras)) if extras else {canonicalize_name(one.name)}
    return found


CORE = names_of(PROJECT["dependencies"])
FOR_AUTHORS = {"dev", "docs"}
EXTRAS = names_of([f"latentdial[{extra}]" for extra in PROJECT["optional-dependencies"].keys() - FOR_AUTHORS]) - CORE


def modules_in(nodes: list[ast.AST]) -> set[str]:
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {one.name.split(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found - set(sys.stdlib_module_names) - {"latentdial", "_typeshed"}


def packages_of(modules: set[str], own: set[str]) -> Iterator[set[str]]:
    """The packages that may bring each module; modules of the repository's own are left out."""
    return ({canonicalize_name(name) for name in PACKAGES.get(module, [module])} for module in modules - own)


def run_when_imported(tree: ast.Module) -> list[ast.AST]:
    """The statements of a file that run when it is imported."""
    found: list[ast.AST] = list(tree.body)
    for node in found:
        if isinstance(node, ast.Try | ast.With) or (isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node)):
            found += node.body
    return found


def test_what_is_imported_is_declared():
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        at_once = set() if path in RUN_AS_PROCESSES else modules_in(run_when_imported(tree))
        for packages in packages_of(at_once, set()):
            assert packages & CORE, f"{path} imports {packages} at its top, which the core does not install"
        for packages in packages_of(modules_in(list(ast.walk(tree))), set()):
            assert packages & (CORE | EXTRAS), f"{path} imports {packages}, which no extra installs"


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "docs"])
def test_what_developers_import_is_declared(folder):
    files = list((ROOT / folder).rglob("*.py"))
    modules = modules_in([node for path in files for node in ast.walk(ast.parse(path.read_text()))])
    declared = CORE | EXTRAS | names_of(["latentdial[dev]"]) | names_of(PEERS)
    for packages in packages_of(modules, {path.stem for path in files} | {path.parent.name for path in files}):
        assert packages & declared, f"{folder} imports {packages}, which dev does not install"


PEERS = ["pythae", "pyod", "gradio"]  # what benchmarks measure against, from environments of their own


def test_the_core_has_no_more_than_it_uses():
    imported = modules_in([node for path in SOURCE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))])
    used = set().union(*packages_of(imported, set()))
    assert used >= CORE - NOT_IMPORTED


WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in {blocked} else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""
CORE_ALONE = """
import sys, latentdial
from latentdial.cli import main
assert latentdial.__file__.startswith(sys.argv[1]), latentdial.__file__
from latentdial.errors import LatentdialError
codec = latentdial.train("fcn-ae", "discs.npy", "run", options={"latent": 4, "widths": [16]}, size=16, steps=20)
edited = latentdial.edit(codec, codec.decode(codec.codes[:1]), "c0+=2")
table = latentdial.evaluate("run")
for extra, act in {
    "demo": lambda: latentdial.train("pca", "avatars", "other"),
    "lfw": lambda: latentdial.train("pca", "lfw", "other"),
    "explorer": lambda: latentdial.explore(codec),
    "frames": lambda: table.to_frame(),
    "datasets": lambda: latentdial.train("pca", "hf:any", "other"),
}.items():
    try:
        act()
    except LatentdialError as error:
        assert f"pip install 'latentdial[{extra}]'" in str(error), error
    else:
        raise AssertionError(f"{extra} was there")
assert main(["report", "run", "--out", "report.html"]) == 0  # its templates are in the wheel
assert main(["recipes"]) == 0
print(edited[0].sentences()[0])
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[set[str], Path]:
    """The files of a source distribution, and a folder with what the wheel that is built of it holds."""
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, folder / "tree", ignore=left_out)
    with tarfile.open(build("sdist", folder / "tree", folder)) as sdist:
        sdist.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    with zipfile.ZipFile(build("wheel", unpacked, folder)) as wheel:
        wheel.extractall(folder / "installed")
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    return names, folder / "installed"


NOT_SHIPPED = {".git", ".venv", "build", "dist", "site", "demo", "runs"}  # at the top
NEVER = shutil.ignore_patterns(".*_cache", ".hypothesis", "node_modules", "__pycache__", "*.egg-info")


def left_out(folder: str, names: list[str]) -> set[str]:
    """What a checkout holds besides its sources."""
    return NEVER(folder, names) | (NOT_SHIPPED if Path(folder) == ROOT else set())


def build(kind: str, tree: Path, out: Path) -> Path:
    code = f"import setuptools.build_meta as b; print(b.build_{kind}({os.fspath(out)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return out / done.stdout.split()[-1]


def test_the_source_distribution_is_whole(built):
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no checkout")
    tracked = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    assert tracked - {".gitignore", ".gitattributes"} <= built[0]


def test_the_wheel_trains_edits_and_measures_without_any_extra_and_without_its_sources(built, discs, tmp_path):
    blocked = {module for module, names in PACKAGES.items() if {*map(canonicalize_name, names)} & EXTRAS}
    (tmp_path / "sitecustomize.py").write_text(WITHOUT.replace("{blocked}", repr(blocked)))
    np.save(tmp_path / "discs.npy", discs)
    paths = os.pathsep.join([str(tmp_path), str(built[1])])
    environment = {**os.environ, "PYTHONPATH": paths, "LATENTDIAL_CACHE": str(tmp_path / "cache")}
    argv = [sys.executable, "-W", "error", "-c", CORE_ALONE, str(built[1])]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "c0" in done.stdout
