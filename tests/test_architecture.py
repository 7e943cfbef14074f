"""Imports point one way, the public names exist, and the command line starts without torch."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from inspect import signature
from pathlib import Path

import pytest

import latentdial
from latentdial.latent.sampling import fit_prior
from latentdial.priors.diffusion import fit_diffusion
from latentdial.priors.stored import save_priors

ROOT = Path(latentdial.__file__).parent
FLOORS = [
    {"texts"},
    {"errors", "types", "progress", "version"},
    {"storage", "shown"},
    {"config", "layers", "outputs", "pixels", "posteriors", "machine"},
    {"images", "measure", "features", "parts"},
    {"model"},
    {"recipes"},
    {"attributes", "priors"},
    {"latent"},
    {"runs"},
    {"training", "discovery", "anomaly", "exporting"},
    {"explorer", "report", "codes", "sklearn"},
    {"reproduction", "sharing", "tuning", "displays", "plots"},
    {"cli"},
    {"__init__", "__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MAY_SEE = {
    "images": {"texts", "errors", "progress", "storage", "config"},
    "measure": {"errors", "types"},
}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("latentdial."):
            rooms.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            names = {one.name for one in node.names} if node.module == "latentdial" else set()
            rooms |= {name if name in FLOOR else "__init__" for name in names}
        elif isinstance(node, ast.Import):
            rooms |= {"__init__" for one in node.names if one.name.split(".")[0] == "latentdial"}
    return rooms


def imported_files(path: Path) -> set[str]:
    """The modules that a file takes, or takes names from, in functions too."""
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return {node.module or "" for node in found} | {f"{node.module}.{one.name}" for node in found for one in node.names}


def test_imports_point_one_way():
    for path in ROOT.rglob("*.py"):
        room = room_of(path)
        for other in imported_rooms(path) - {room}:
            assert room in FLOOR, f"{room} has no floor in the house"
            assert FLOOR[other] < FLOOR[room], f"{path} imports {other} from above or beside"
            assert other in MAY_SEE.get(room, {other}), f"{path} may not see {other}"


def test_no_files_import_each_other_in_a_circle():
    paths = [path for path in ROOT.rglob("*.py") if path.stem != "__init__"]
    files = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in paths}
    graph = {name: imported_files(path) & files.keys() for name, path in files.items()}
    TopologicalSorter(graph).prepare()


def test_parts_never_import_each_other():
    for path in (ROOT / "parts").glob("*.py"):
        assert "parts" not in imported_rooms(path), path


def test_tests_lie_as_the_source_lies():
    folders = {
        path.parent.name for path in Path(__file__).parent.rglob("test_*.py") if path.parent != Path(__file__).parent
    }
    assert all((ROOT / name).is_dir() for name in folders), folders


def test_every_public_name_is_there():
    for name in latentdial.__all__:
        assert getattr(latentdial, name) is not None
    assert set(latentdial.__all__) <= set(dir(latentdial))


def test_help_and_a_look_at_pictures_need_no_torch():
    """Importing it takes seconds."""
    code = "import sys, latentdial.report.look; from latentdial.cli import make_parser; make_parser(['train'])"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)


def test_the_help_of_fit_prior_tells_its_steps_without_torch():
    code = (
        "import sys; from latentdial.cli import main; main(['fit-prior', '--help']); assert 'torch' not in sys.modules"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    default = signature(fit_diffusion).parameters["steps"].default
    assert f"at most; 6000 take minutes and draw better (default: {default})" in " ".join(told.split())


@pytest.mark.parametrize("command", ["runs", "clean"])
def test_lists_of_runs_need_no_torch(tiny_runs, command):
    folder = tiny_runs["fcn-vae"].parent
    code = "import sys; from latentdial.cli import main; assert main(sys.argv[1:]) == 0"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules", command, folder], check=True)


def test_a_run_is_loaded_without_the_compiler(tiny_runs, codec, tmp_path):
    """torch._dynamo takes a second and more to import: a division of a tensor without values is enough for that."""
    run = shutil.copytree(tiny_runs["fcn-vae"], tmp_path / "run")
    save_priors(run, fit_prior(codec, kinds=["diffusion"], steps=1), codec.codes)
    slow = "{'torch._dynamo', 'scipy.ndimage', 'sklearn', 'matplotlib'}"
    code = f"import sys, latentdial; assert latentdial.load(sys.argv[1]).fitted; assert not {slow} & {{*sys.modules}}"
    subprocess.run([sys.executable, "-c", code, str(run)], check=True)
