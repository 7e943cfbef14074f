"""The model card of a run: its README.md."""

from __future__ import annotations

from pathlib import Path

from latentdial import storage
from latentdial.config import RunConfig
from latentdial.images import ImageSet
from latentdial.recipes import builder_of
from latentdial.runs.loading import CARD
from latentdial.training.loop import Record

TEXT = """# {name}

{doc}

| | |
|---|---|
| recipe | `{recipe}` {options} |
| pictures | {source}: {pictures:,} ({training_pictures:,} for training), {size}x{size} {colour}, fitted by {fit} |
| skipped files | {skipped} |
| training | {step} steps of {batch}, {optimizer} at {lr:g} ({schedule}), seed {seed}, {precision} on {device} |
| time | {seconds:.0f} s, {images_per_second:.0f} images/s, peak memory {peak_memory_mb} MB |
| parameters | {parameters:,} |
{interrupted}
Use it:

```
latentdial dimensions {folder} --out dims.png
latentdial edit {folder} picture.jpg "1*=2" "0*=10" --out edit.png
```

```python
import latentdial
codec = latentdial.load({folder!r})
codec.decode(codec.encode("picture.jpg"))
```

The pictures it learned from set its limits: pictures unlike them are reconstructed badly, and biases in them
are in the model.
"""


def write_card(out: Path, config: RunConfig, summary: Record, images: ImageSet) -> None:
    """Write README.md: what was trained on what, how, and how to use it."""
    stopped = "\nTraining was interrupted; continue with --resume.\n" if summary["interrupted"] else ""
    text = TEXT.format(
        name=out.name,
        folder=str(out),
        doc=(builder_of(config.model.recipe).__doc__ or "").strip().split("\n")[0],
        recipe=config.model.recipe,
        options=" ".join(f"{name}={value}" for name, value in config.model.options.items()),
        source=f"`{config.data.source}`",
        **{name: getattr(config.geometry, name) for name in ("size", "colour", "fit")},
        **{name: getattr(config.train, name) for name in ("batch", "optimizer", "lr", "schedule", "seed")},
        **{k: v for k, v in summary.items() if k not in {"split", "steps", "interrupted", "skipped"}},
        skipped=len(images.skipped),
        interrupted=stopped,
    )
    storage.write(out / CARD, text)
