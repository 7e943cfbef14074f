"""The card of a run, its README.md: figures, data, training and use, from its settings and its summary."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from latentdial.config import RunConfig
from latentdial.recipes import builder_of
from latentdial.texts import command, counted

LIMITS = """The pictures it learned from set its limits: pictures unlike them come back badly, and what is seldom or
one-sided in them is so in the model. An attribute that it learnt is what the labels say, not what a person is."""
CODES = """`codes.safetensors` holds codes of training pictures. Decoded, they resemble these pictures: who gets the
run gets that too. Share it only where you may share the pictures."""


def card(config: RunConfig, summary: Mapping[str, Any], name: str, run: str, pictures: str = "") -> str:
    """The card as Markdown; `run` is what to write for the run in a command, `pictures` what to show of it."""
    about = (builder_of(config.model.recipe).__doc__ or "").strip().split("\n")[0]
    stopped = "training was interrupted; continue with --resume" if summary.get("interrupted") else ""
    parts = [f"# {name}", about, _sentence(config.origin), _sentence(stopped)]
    parts += ["## Figures", _figures(summary), _sentence(str(summary.get("verdict", "")))]
    parts += [pictures, "## Data", _data(config, summary), LIMITS, CODES]
    parts += ["## Training", _training(config, summary), "## Use", _use(run)]
    return "\n\n".join(part for part in parts if part) + "\n"


def named(source: str) -> str:
    """A source without the folders of somebody's computer."""
    return source if source.startswith("hf:") else re.split(r"[/\\]", source.rstrip("/\\"))[-1] or source


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _figures(summary: Mapping[str, Any]) -> str:
    if "test_mse" not in summary:
        return "No figures are kept with this run: `latentdial evaluate` measures them."
    rows = [
        ["unseen pictures", "squared error", "PSNR, dB"],
        ["this run", f"{summary['test_mse']:.5f}", f"{summary['test_psnr']:.2f}"],
        [
            f"PCA with {counted(summary['numbers'], 'number')}",
            f"{summary['pca_mse']:.5f}",
            f"{summary['pca_psnr']:.2f}",
        ],
    ]
    return _table(rows) + "\n\nPer pixel and channel, pictures in 0 to 1."


def _data(config: RunConfig, summary: Mapping[str, Any]) -> str:
    geometry, data = config.geometry, config.data
    count = summary.get("pictures")
    used = (
        "" if count is None else f", {counted(count, 'picture')}, {summary['training_pictures']:,} of them for training"
    )
    left = f" {counted(summary['skipped'], 'file')} could not be read." if summary.get("skipped") else ""
    varied = [f"{name} {value}" for name, value in vars(config.augment).items() if value]
    more = f" Varied in training: {', '.join(varied)}." if varied else ""
    source = f"`{named(data.source)}`" if data.source else "Not said"
    return f"{source}{used}; {geometry.size}x{geometry.size} {geometry.colour}, fitted by {geometry.fit}.{left}{more}"


def _training(config: RunConfig, summary: Mapping[str, Any]) -> str:
    train, options = config.train, " ".join(f"{name}={value}" for name, value in config.model.options.items())
    rows = [["", ""], ["recipe", f"`{config.model.recipe}` {options}".strip()]]
    if "step" in summary:
        rate = "" if train.lr is None else f" at {train.lr:g}"
        rows += [
            ["steps", f"{summary['step']:,} of {train.batch} pictures{_published(summary)}"],
            ["optimizer", f"{train.optimizer}{rate} ({train.schedule}), seed {train.seed}, start {train.start}"],
            ["parameters", f"{summary['parameters']:,}"],
            ["time", f"{summary['seconds']:.0f} s, {summary['images_per_second']:.0f} images/s"],
            ["memory", f"{summary['peak_memory_mb']:,} MB at most"],
            ["machine", f"{summary['precision']} on {summary['device']}, torch {summary['torch']}"],
        ]
    return _table(rows)


def _published(summary: Mapping[str, Any]) -> str:
    """Which weights these are, where they are not the last."""
    step = summary.get("published_step", summary["step"])
    return "" if step == summary["step"] else f"; the weights are those after {step} of them, the best in validation"


def _use(run: str) -> str:
    install = "pip install 'latentdial[hub]'\n" if run.startswith("hub:") else ""
    return f"""```
{install}{command("dimensions", run, "--out", "dims.png")}
{command("edit", run, "picture.jpg")} "c0+=2" "c1-=2" --out edit.png
```

```python
import latentdial

codec = latentdial.load({run!r})
codec.decode(codec.encode("picture.jpg"))
```"""


def _table(rows: list[list[str]]) -> str:
    head, *body = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])
