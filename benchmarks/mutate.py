"""What share of small faults the tests notice: mutants of single modules, each tried on the tests that concern it.

Faults are those of cosmic-ray: an operator, a comparison, a number or a word exchanged. One is drawn for each of some
places (--count) by a stated seed, those in annotations left out; a copy of the source with the fault is tested in a
forked process, which has the libraries loaded already, file by file until the first test fails. Survivors are listed:
each is a test that is missing, dead code, or a fault that changes nothing. Needs the extras `dev` and `mutate`.

Command: make mutate, or python benchmarks/mutate.py parts/bounds.py --count 40 --seed 1
Time: some 2 core-seconds a fault that the first file notices, up to some minutes for one that none does.
Expected: at least 90% noticed.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import difflib
import gc
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "latentdial"
ENDLESS = 3  # a mutant whose tests take so many times what they take without a fault counts as noticed
WARM = [
    "torch",
    "torch._dynamo",
    "numpy",
    "scipy.stats",
    "sklearn.mixture",
    "PIL.Image",
    "jsonargparse",
    "pytest",
]

PARTS, LOGISTIC = "tests/parts/test_parts.py", "tests/parts/test_logistic.py"
LIKELIHOOD = "tests/latent/test_likelihood.py"
FAMILIES, FLEXIBLE, LEVELS, RIVALS, CONDITIONAL = (
    f"tests/recipes/test_{name}.py" for name in ("families", "flexible", "levels", "rivals", "conditional")
)
TRAINING, OPTIMIZING, STARTING, SUBSPACE = (
    f"tests/training/test_{name}.py" for name in ("training", "optimizing", "starting", "subspace")
)
PRIORS = "tests/priors/test_priors.py"
LATENT, CHANNELS = "tests/latent/test_latent.py", "tests/latent/test_channels.py"
MORE = {  # beside the tests of a module's own name, which come first: a fault is seldom noticed late
    "parts/aggregate.py": [FAMILIES],
    "parts/bottlenecks.py": [PARTS, FAMILIES],
    "parts/bounds.py": [FAMILIES],
    "parts/conditions.py": [CONDITIONAL],
    "parts/corruptions.py": [FAMILIES],
    "parts/critics.py": [RIVALS],
    "parts/flows.py": [FLEXIBLE],
    "parts/ladder.py": [LEVELS],
    "parts/likelihoods.py": [PARTS, LOGISTIC],
    "parts/logistic.py": [],
    "parts/networks.py": [PARTS],
    "parts/objectives.py": [PARTS, FAMILIES],
    "parts/penalties.py": [PARTS, FAMILIES],
    "parts/priors.py": [PARTS, FLEXIBLE],
    "parts/quantisers.py": [],
    "parts/residual.py": [PARTS],
    "parts/schedules.py": [PARTS],
    "parts/sphere.py": [],
    "layers.py": [PARTS, SUBSPACE],
    "posteriors.py": ["tests/test_types.py", PARTS, FAMILIES],
    "types.py": [PARTS, FAMILIES, LEVELS],
    "model.py": [PARTS, FAMILIES],
    "training/loop.py": [OPTIMIZING, TRAINING],
    "training/optimizers.py": [OPTIMIZING],
    "training/starting.py": [],
    "training/subspace.py": ["tests/training/test_subspace_runs.py"],
    "training/best.py": [],
    "training/verdict.py": ["tests/training/test_verdict_runs.py"],
    "training/few.py": [],
    "priors/diffusion.py": [PRIORS],
    "priors/kept.py": [PRIORS],
    "priors/neighbours.py": [],
    "latent/canonical.py": ["tests/latent/test_canonical_runs.py"],
    "latent/direction.py": [LATENT, CHANNELS],
    "latent/effect.py": [LATENT, CHANNELS],
    "latent/likelihood.py": [],
    "latent/novelty.py": ["tests/latent/test_novelty_runs.py"],
    "latent/relabelling.py": [CONDITIONAL],
    "measure/likelihood.py": ["tests/measure/test_generation.py", LIKELIHOOD],
    "measure/principal.py": [STARTING],
}


def tests_of(module: str) -> list[str]:
    """The tests that concern a module."""
    path = Path(module)
    own = ROOT / "tests" / path.parent / f"test_{path.name}"
    return [*([str(own.relative_to(ROOT))] if own.exists() else []), *MORE[module]]


MODULES = {module: tests_of(module) for module in MORE}


PAIRS = "Add_Sub Sub_Add Mul_Div Div_Mul Pow_Mul FloorDiv_Div Mod_FloorDiv BitOr_BitAnd BitAnd_BitOr"
TURNS = "Lt_LtE LtE_Lt Gt_GtE GtE_Gt Eq_NotEq NotEq_Eq Is_IsNot IsNot_Is Lt_GtE Gt_LtE"
WORDS = "NumberReplacer AddNot ReplaceTrueWithFalse ReplaceFalseWithTrue ReplaceAndWithOr ReplaceOrWithAnd"
WORDS += " ZeroIterationForLoop ReplaceUnaryOperator_Delete_USub ReplaceUnaryOperator_Delete_Not"
FAULTS = [f"ReplaceBinaryOperator_{pair}" for pair in PAIRS.split()]
FAULTS += [f"ReplaceComparisonOperator_{turn}" for turn in TURNS.split()] + WORDS.split()


def mutants(module: str, count: int, seed: int) -> list[tuple[int, str]]:
    """Of so many places of a module, drawn by seed, one fault each: the line, and the whole text with the fault."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    text, chosen, drawn = (SOURCE / module).read_text(), random.Random(f"{module} {seed}"), []
    places, nothing = _places(text), (bare(text), None)
    for place in chosen.sample(sorted(places), len(places)):
        if len(drawn) == count:
            break
        name, index = chosen.choice(places[place])
        changed = mutate_code(text, get_operator(f"core/{name}")(), index)
        if bare(changed) not in nothing:
            drawn.append((place[0], changed))
    return sorted(drawn)


def _places(text: str) -> dict[tuple[int, int], list[tuple[str, int]]]:
    """By line and column, the faults that can be made there: the operator's name and which of its places it is."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator

    nodes, places = list(ast_nodes(get_ast(text))), dict[tuple[int, int], list[tuple[str, int]]]()
    for name in FAULTS:
        operator = get_operator(f"core/{name}")()
        found = (begin for node in nodes for begin, _ in operator.mutation_positions(node))
        for index, begin in enumerate(found):
            places.setdefault(begin, []).append((name, index))
    return places


def bare(text: str) -> str | None:
    """What a module does: without annotations, which are not evaluated, nor what they need, and how its dataclasses
    compare and freeze.

    None where it is no Python: the star of an unpacking taken for a product.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in [*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs]:
                argument.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.ClassDef):
            node.decorator_list = []
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.test = ast.Constant(None)
    return ast.dump(tree)


def where(text: str, changed: str) -> tuple[int, str, str]:
    """The line of a fault, as it was and as it is."""
    ours, theirs = text.splitlines(), changed.splitlines()
    for block in difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if block[0] != "equal":
            return (
                block[1] + 1,
                " ".join(ours[block[1] : block[2]]).strip(),
                " ".join(theirs[block[3] : block[4]]).strip(),
            )
    return 0, "", ""


class Trial:
    """A copy of the source, and the core-seconds of every file of tests without a fault, once they are known."""

    def __init__(self, copy: Path):
        self.copy, self.costs = copy, dict[str, int]()
        shutil.copytree(SOURCE, copy / "latentdial", ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(copy, quiet=1)  # a module that is changed is newer than what was compiled of it

    def noticed(self, module: str, changed: str) -> bool:
        """Whether tests of a module fail, or do not end in a few times their usual time, when its text is changed."""
        path, original = self.copy / "latentdial" / module, (SOURCE / module).read_text()
        for tests in MODULES[module]:
            limit = ENDLESS * self._cost(tests) + 10
            path.write_text(changed)
            failed = self._failed(tests, limit)
            path.write_text(original)
            if failed:
                return True
        return False

    def _cost(self, tests: str) -> int:
        if tests not in self.costs:
            begin = spent()
            if self._failed(tests, None):
                raise SystemExit(f"{tests} fails without a fault")
            self.costs[tests] = round(spent() - begin)
        return self.costs[tests]

    def _failed(self, tests: str, limit: int | None) -> bool:
        child = os.fork()
        if not child:
            status = _tested(self.copy, tests, limit)
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(status)
        return os.waitpid(child, 0)[1] != 0


def _tested(copy: Path, tests: str, limit: int | None) -> int:
    """In the forked process: run the tests; 0 where all pass. Without a limit what they say is shown."""
    import resource

    if limit:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        signal.signal(signal.SIGXCPU, lambda *_: os._exit(9))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1), os.dup2(nowhere, 2)
    sys.path.insert(0, str(copy))
    try:
        import pytest

        import latentdial

        assert Path(latentdial.__file__).is_relative_to(copy)
        return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", tests]))
    except BaseException:  # whatever the fault makes of an import
        if not limit:
            traceback.print_exc()
        return 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", help=f"default: all of {', '.join(MODULES)}")
    parser.add_argument("--count", type=int, default=25, help="places of a module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="JSON lines, one for each module, added to a file")
    parser.add_argument("--list", action="store_true", help="only count the places")
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.dont_write_bytecode = True
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "PYTHONDONTWRITEBYTECODE", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"), "1")
    if not options.list:
        for name in WARM:
            importlib.import_module(name)
        gc.freeze()  # what is there already is never looked at again by the collections that pytest asks for
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder))
        for module in options.modules or MODULES:
            tried(trial, module, options)


def spent() -> float:
    """Core-seconds of this process and those that it has waited for."""
    return sum(os.times()[:4])


def tried(trial: Trial, module: str, options: argparse.Namespace) -> None:
    """Try the mutants of one module; print the share that is noticed, and those that are not."""
    drawn, text = mutants(module, options.count, options.seed), (SOURCE / module).read_text()
    if options.list:
        print(f"{module}: {len(drawn)} places")
        return
    begin, survivors = spent(), []
    for line, changed in drawn:
        if not trial.noticed(module, changed):
            _, before, after = where(text, changed)
            survivors.append([line, before, after])
            print(f"  {module}:{line}\n    - {before}\n    + {after}", flush=True)
    share = 1 - len(survivors) / max(len(drawn), 1)
    print(f"{module}: {share:.0%} of {len(drawn)} noticed, {spent() - begin:.0f} core-seconds", flush=True)
    record = {"module": module, "seed": options.seed, "tried": len(drawn), "noticed": len(drawn) - len(survivors)}
    if options.out:
        with options.out.open("a") as file:
            file.write(json.dumps(record | {"survivors": survivors}) + "\n")


if __name__ == "__main__":
    main()
