"""The command line: parse, call, print. Imports torch only when a command needs it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from latentdial import __version__
from latentdial.config import AugmentSettings, DataSettings, Geometry, ModelSettings, RunConfig, TrainSettings
from latentdial.errors import LatentdialError

FAILED, PREEMPTED, INTERRUPTED = 1, 75, 130
LISTS = {"--track", "--decay_at", "--levels"}
DATA = "a folder of pictures, an array (.npy, .npz, IDX), a table of paths (.csv, .parquet), hf:NAME, or: avatars, lfw"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 an error in one line, 2 usage, 75 preempted, 130 Ctrl-C."""
    args = _forgiving(sys.argv[1:] if argv is None else argv)
    parser = make_parser(args)
    if not args:
        parser.print_help()
        return 2
    options = parser.parse_args(args)
    name = options.command
    if options[name].get("cache"):
        os.environ["LATENTDIAL_CACHE"] = options[name].cache
    try:
        return COMMANDS[name][2](options[name]) or 0
    except LatentdialError as error:
        print(f"latentdial {name}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"latentdial {name}: stopped by Ctrl-C", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - stays open until the process ends
    return FAILED


def make_parser(args: Sequence[str] = ()) -> ArgumentParser:
    """The whole parser; only the command named in `args` gets its options, which keeps the start fast."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(prog="latentdial", description=__doc_for_users__, version=__version__)
    commands = parser.add_subcommands(dest="command", title="commands", metavar="COMMAND")
    for name, (describe, help_text, _) in COMMANDS.items():
        command = ArgumentParser(description=help_text)
        if name in args[:1]:
            describe(command)
        commands.add_subcommand(name, command, help=help_text)
    return parser


def _forgiving(argv: Sequence[str]) -> list[str]:
    """Takes --time-budget for --time_budget, and --track a,b for --track [a,b]."""
    args: list[str] = []
    for word in argv:
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            word = name.replace("-", "_").replace("__", "--", 1) + equals + value
        elif args and args[-1] in LISTS and not word.startswith("["):
            word = f"[{word}]"
        args.append(word)
    return args


__doc_for_users__ = (
    "Train an image autoencoder on a folder of pictures, then see, measure and steer what every latent dimension does. "
    "latentdial COMMAND --help tells what a command takes."
)


# train ---------------------------------------------------------------------------------------------------------------


def _train_options(parser: ArgumentParser) -> None:
    parser.add_argument("--config", action="config", help="settings from a YAML or JSON file")
    parser.add_argument("recipe", type=str, help="what to train: see latentdial recipes")
    parser.add_argument("data", type=str, help=DATA)
    parser.add_argument("--out", type=str, required=True, help="directory of the run")
    _recipe_options(parser)
    parser.add_class_arguments(Geometry)
    parser.add_class_arguments(DataSettings, skip={"source"})
    parser.add_class_arguments(TrainSettings)
    parser.add_class_arguments(AugmentSettings)
    _cache_option(parser)
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out where there is one")
    parser.add_argument("--overwrite", action="store_true", help="replace a run that is in --out already")
    _json_option(parser)


def _train(options: Namespace) -> int:
    from latentdial.progress import show_progress
    from latentdial.recipes import options_of, parse_options
    from latentdial.training.start import train_run

    options_of(options.recipe)
    config = RunConfig(
        ModelSettings(options.recipe, parse_options(options.set, options.latent)),
        _settings(Geometry, options),
        replace(_settings(DataSettings, options), source=options.data),
        _settings(TrainSettings, options),
        _settings(AugmentSettings, options),
    )
    with show_progress() as show:
        finished = train_run(config, Path(options.out), options.resume, options.overwrite, show)
    if finished.leads:
        _say_trained(finished, options)
    return {"": 0, "interrupted": INTERRUPTED, "preempted": PREEMPTED}[finished.stopped]


def _say_trained(finished: Any, options: Namespace) -> None:
    if options.json:
        _print_json({"run": options.out, **finished.summary, "stopped": finished.stopped})
    elif finished.stopped == "preempted":
        print(
            f"told to stop at step {finished.summary['step']}: all is saved. Go on with the same command and --resume."
        )
    elif finished.stopped:
        print(f"stopped early; the run in {options.out} is usable. Go on with the same command and --resume.")
    else:
        print(f"trained {options.out}. Next: latentdial dimensions {options.out} --out dims.png")


# dimensions, edit, sample --------------------------------------------------------------------------------------------


def _dimensions_options(parser: ArgumentParser) -> None:
    _run_argument(parser)
    parser.add_argument("--out", type=str | None, default=None, help="PNG with a traversal strip of the strongest")
    parser.add_argument("--top", type=int, default=12, help="rows in the table and the picture")
    parser.add_argument(
        "--picture", type=str | None, default=None, help="the picture to turn; default: a training code"
    )
    _json_option(parser)


def _dimensions(options: Namespace) -> None:
    from latentdial.latent.effect import dimensions, real_codes
    from latentdial.progress import show_progress
    from latentdial.report.figures import dimension_sheet

    codec = _load(options.run)
    with show_progress() as show:
        table = dimensions(codec, progress=lambda done, total: show.advance("measuring dimensions", done, total))
    if options.out:
        code = real_codes(codec, 2)[0] if options.picture is None else codec.encode(options.picture)[0]
        _save(dimension_sheet(codec, table, code, options.top), options.out)
    if options.json:
        _print_json({"run": options.run, "codes": table.codes, "active": table.active, "dimensions": table.as_dicts()})
        return
    reads = any(row.reads for row in table.rows)
    _print_table(
        f"{options.run}: {table.active} of {codec.latent} dimensions active; effect over {table.codes} real codes",
        [
            "dimension",
            "effect (levels for +-1 sd)",
            "sd",
            "KL (nats)",
            "active",
            *(["+1 sd reads (sd)"] if reads else []),
        ],
        [
            [
                row.dimension,
                f"{row.effect:.2f}",
                f"{row.sd:.3f}",
                "-" if row.kl is None else f"{row.kl:.2f}",
                _yes(row.active),
                *([", ".join(row.reads)] if reads else []),
            ]
            for row in table.rows[: options.top]
        ],
    )
    _say_written(options.out)


def _edit_options(parser: ArgumentParser) -> None:
    _run_argument(parser)
    parser.add_argument("picture", type=str, help="the picture file to edit")
    parser.add_argument("edits", type=str, nargs="+", help="such as 1*=2, 0+=3, 5=0 or smile+=2s; several joined by ;")
    parser.add_argument("--keep", type=str, nargs="+", default=[], help="directions to hold where they are")
    parser.add_argument(
        "--direction", type=str, nargs="+", default=[], help="JSON files that Make a direction of the explorer saved"
    )
    parser.add_argument("--preserve_detail", action="store_true", help="keep what the codec blurs, away from the edit")
    parser.add_argument("--out", type=str | None, default=None, help="PNG: original, reconstruction, a column per edit")
    _json_option(parser)


def _edit(options: Namespace) -> None:
    from latentdial.latent.direction_file import read_direction
    from latentdial.latent.editing import edit
    from latentdial.latent.stored import merged
    from latentdial.report.figures import edit_sheet

    codec = _load(options.run)
    made = [read_direction(path, codec) for path in options.direction]
    codec = replace(codec, directions=tuple(merged(codec.directions, made)))
    sheet = edit(codec, options.picture, *options.edits, keep=options.keep, preserve_detail=options.preserve_detail)
    if options.out:
        _save(edit_sheet(sheet), options.out)
    if options.json:
        from dataclasses import asdict

        _print_json(
            {
                "run": options.run,
                "picture": options.picture,
                "edits": [
                    {
                        "label": column.label,
                        "change": asdict(column.change),
                        "out": column.out,
                        "warning": column.warning,
                        "moves": [asdict(move) for move in column.moves],
                        "reads": column.reads,
                        "code": column.code.tolist(),
                    }
                    for column in sheet.columns
                ],
            }
        )
        return
    for sentence in sheet.sentences():
        print(sentence)
    _say_written(options.out)


def _sample_options(parser: ArgumentParser) -> None:
    _run_argument(parser)
    parser.add_argument("-n", type=int, default=64, help="how many pictures")
    parser.add_argument("--out", type=str, default="samples.png", help="PNG to write")
    parser.add_argument("--source", type=str, default="auto", help="auto, prior, or codes: a Gaussian fitted to them")
    parser.add_argument("--temperature", type=float, default=1.0, help="spread of the codes; 0 gives the mean picture")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    _json_option(parser)


def _sample(options: Namespace) -> None:
    from latentdial.report.figures import picture_grid

    if not 1 <= options.n <= 10_000:
        raise LatentdialError("-n must be from 1 to 10000 pictures")
    if options.source not in {"auto", "prior", "codes"}:
        raise LatentdialError(f"there is no source {options.source!r}: use auto, prior or codes")
    if not 0 <= options.temperature <= 100:
        raise LatentdialError("--temperature must be from 0 to 100")
    codec = _load(options.run)
    pictures = codec.sample(options.n, options.seed, options.temperature, options.source)
    _save(picture_grid(pictures), options.out)
    if options.json:
        _print_json({"run": options.run, "n": options.n, "out": options.out})
    else:
        _say_written(options.out)


# directions -----------------------------------------------------------------------------------------------------------


def _directions_options(parser: ArgumentParser) -> None:
    _run_argument(parser)
    parser.add_argument("--labels", type=str | None, default=None, help="a CSV of file,attribute,...; or data: its own")
    parser.add_argument("--data", type=str | None, default=None, help="the labelled pictures; default: the run's")
    parser.add_argument("--method", type=str, default="mean", help="from labels by mean, ridge or svm")
    parser.add_argument("--these", type=str | None, default=None, help="a folder of pictures that have something")
    parser.add_argument("--those", type=str | None, default=None, help="a folder of pictures that have not")
    parser.add_argument("--name", type=str | None, default=None, help="what --these have and --those have not")
    parser.add_argument("--without", type=str, nargs="+", default=[], help="directions to take out of the new ones")
    parser.add_argument("--out", type=str | None, default=None, help="PNG with a sheet of the first directions")
    parser.add_argument("--top", type=int, default=8, help="of the strongest, and of those with a name, that are shown")
    parser.add_argument("--show", type=str, nargs="+", default=[], help="names to show instead, such as 3 pca1 smile")
    parser.add_argument("--again", action="store_true", help="measure again what the run holds already")
    _json_option(parser)


def _directions(options: Namespace) -> None:
    from latentdial.latent.direction import NAMED
    from latentdial.progress import show_progress
    from latentdial.study import Request, study

    request = Request(
        options.labels, options.data, options.method, options.these, options.those, options.name, options.without
    )
    with show_progress() as show:
        stored = study(options.run, request, options.again, show.advance)
    shown = _shown(stored.directions, options)
    if options.out:
        from latentdial.report.direction_sheet import direction_sheet

        _save(direction_sheet(_load(options.run), shown), options.out)
    if options.json:
        from latentdial.latent.stored import pack

        _print_json({"run": options.run, **pack(stored)[0]})
        return
    count = min(8, len(stored.shares))
    _print_table(
        f"{options.run}: {len(stored.directions)} directions; "
        f"the first {count} explain {stored.shares[count - 1]:.0%} of the decoded variance",
        ["direction", "kind", "levels for 1 sd", "95% interval", "sd", "linear", "safe range (sd)", "+1 sd reads (sd)"],
        [_direction_row(direction) for direction in shown],
    )
    more = [one.name for one in stored.directions if one.kind in NAMED and one not in shown]
    if more and not options.show:
        print(f"more names (see them with --top {options.top + len(more)}): {', '.join(more)}")
    _say_written(options.out)


def _shown(ranked: Sequence[Any], options: Namespace) -> list[Any]:
    """The directions asked for by name; else the foremost, and the one that is new."""
    from latentdial.latent.direction import foremost

    by_name = {direction.name: direction for direction in ranked}
    unknown = [name for name in options.show if name not in by_name]
    if unknown:
        known = ", ".join(list(by_name)[:12])
        raise LatentdialError(f"{options.run} has no direction {unknown[0]!r}: it has {len(by_name)}, such as {known}")
    if options.show:
        return [by_name[name] for name in options.show]
    shown = foremost(ranked, options.top)
    return shown if options.name is None or by_name[options.name] in shown else [*shown, by_name[options.name]]


def _direction_row(direction: Any) -> list[str]:
    effect, (low, high) = direction.effect, direction.safe
    return [
        direction.name,
        direction.kind,
        f"{effect.levels:.2f}",
        f"{effect.low:.2f} to {effect.high:.2f}",
        f"{direction.sd:.3f}",
        f"{effect.linearity:.0%}",
        f"{low:+.1f} to {high:+.1f}",
        ", ".join(direction.reads(2)),
    ]


def _disentanglement_options(parser: ArgumentParser) -> None:
    _run_argument(parser)
    _json_option(parser)


def _disentanglement(options: Namespace) -> None:
    from latentdial.progress import show_progress
    from latentdial.study import disentanglement

    with show_progress() as show:
        found = disentanglement(options.run, show.advance)
    if options.json:
        _print_json({"run": options.run, **found})
        return
    _print_table(f"{options.run}: 1 is best", ["score", ""], [[name, f"{value:.3f}"] for name, value in found.items()])


# interpolate, average, analogy ----------------------------------------------------------------------------------------


def _interpolate_options(parser: ArgumentParser) -> None:
    _run_argument(parser)
    parser.add_argument("first", type=str, help="the picture file to start from")
    parser.add_argument("last", type=str, help="the picture file to end at")
    parser.add_argument("--path", type=str, default="linear", help="linear, spherical, or density: along real codes")
    parser.add_argument("-n", type=int, default=9, help="pictures, both ends included")
    parser.add_argument("--out", type=str, default="path.png", help="a strip as .png, or moving as .gif or .webp")
    _json_option(parser)


def _interpolate(options: Namespace) -> None:
    from latentdial.latent.paths import interpolate

    codec = _load(options.run)
    ends = codec.encode([options.first, options.last])
    codes = interpolate(codec, ends[0], ends[1], options.n, options.path)
    _save_strip(codec.decode(codes), options.out)
    out = codec.support.score(codec, codes).tolist()
    if options.json:
        _print_json({"run": options.run, "path": options.path, "codes": codes.tolist(), "out": out})
        return
    print(f"{options.path} path of {len(codes)} pictures; furthest out of the data: {max(out):.2f} (1 is the border)")
    _say_written(options.out)


def _average_options(parser: ArgumentParser) -> None:
    _run_argument(parser)
    parser.add_argument("groups", type=str, nargs="+", help="folders of pictures, an average each")
    parser.add_argument("--out", type=str, default="average.png", help="PNG to write")
    _json_option(parser)


def _average(options: Namespace) -> None:
    import numpy as np

    from latentdial.images import open_images
    from latentdial.latent.paths import average

    codec = _load(options.run)
    groups = [open_images(DataSettings(group), codec.geometry).pixels[:] for group in options.groups]
    codes = np.stack([average(codec, group) for group in groups])
    _save_strip(codec.decode(codes), options.out)
    _say_codes(options, codes)


def _analogy_options(parser: ArgumentParser) -> None:
    _run_argument(parser)
    parser.add_argument("pictures", type=str, nargs=3, help="A, B and C: D is to C as B is to A")
    parser.add_argument("--out", type=str, default="analogy.png", help="PNG with A, B, C and D")
    _json_option(parser)


def _analogy(options: Namespace) -> None:
    import numpy as np

    from latentdial.latent.paths import analogy

    codec = _load(options.run)
    given = codec.encode(list(options.pictures))
    codes = np.stack([*given, analogy(*given)])
    _save_strip(codec.decode(codes), options.out)
    _say_codes(options, codes)


def _say_codes(options: Namespace, codes: Any) -> None:
    if options.json:
        _print_json({"run": options.run, "codes": codes.tolist(), "out": options.out})
    else:
        _say_written(options.out)


def _save_strip(pictures: Any, out: str) -> None:
    """A strip of pictures as PNG, or one after the other and back as GIF or WebP."""
    from latentdial.report.figures import moving_picture, picture_grid

    if Path(out).suffix in {".gif", ".webp"}:
        frames = moving_picture(pictures)
        try:
            frames[0].save(out, save_all=True, append_images=frames[1:], duration=80, loop=0, lossless=True)
        except (OSError, ValueError) as error:
            raise LatentdialError(f"cannot write {out} ({error}): choose another --out") from None
    else:
        _save(picture_grid(pictures, columns=len(pictures)), out)


# encode, runs ---------------------------------------------------------------------------------------------------------


def _encode_options(parser: ArgumentParser) -> None:
    _run_argument(parser)
    parser.add_argument("data", type=str, help=DATA)
    parser.add_argument("--out", type=str, required=True, help="folder of the codes; whole shards in it are kept")
    parser.add_argument("--shard_rows", type=int, default=65_536, help="pictures a shard")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--precision", type=Literal["auto", "bf16", "float32"], default="float32", help="of the net")
    parser.add_class_arguments(DataSettings, skip={"source", "holdout", "split"})
    _cache_option(parser)
    _json_option(parser)


def _encode(options: Namespace) -> None:
    from dataclasses import asdict

    from latentdial.encoding import encode_pictures
    from latentdial.progress import Show, show_progress

    data = replace(_settings(DataSettings, options), source=options.data)
    first = os.environ.get("RANK", "0") == "0"
    with show_progress() as bars:
        show = bars if first else Show()
        done = encode_pictures(
            options.run, data, options.out, options.shard_rows, options.device, options.precision, show
        )
    if options.json:
        if first:
            _print_json(asdict(done))
        return
    who = f"process {done.rank + 1} of {done.processes}: " if done.processes > 1 else ""
    kept = f", kept {done.kept:,} that were there" if done.kept else ""
    print(
        f"{who}encoded {done.encoded:,} pictures in {done.seconds:.1f} s, {done.images_per_second:.0f} images/s{kept}"
    )
    if done.complete:
        print(f"{done.out} is complete: {done.rows:,} codes of {done.latent} dimensions in {done.shards} shards")


def _runs_options(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=str, help="a run, or a directory with runs anywhere in it")
    parser.add_argument(
        "--sort", type=str, default="time", help="time, or a column or validation term such as lr or loss"
    )
    parser.add_argument("--watch", action="store_true", help="follow until Ctrl-C, or until no run is running any more")
    _json_option(parser)


def _runs(options: Namespace) -> None:
    from latentdial.runs import list_runs, watch_runs

    if not options.watch:
        rows = list_runs(options.folder, options.sort)
        if options.json:
            _print_json([row.as_dict() for row in rows])
        else:
            _print_table(f"{options.folder}: {len(rows)} runs", RUN_COLUMNS, [_run_cells(row) for row in rows])
        return
    try:
        _follow(watch_runs(options.folder, options.sort), options.json)
    except KeyboardInterrupt:
        return


def _follow(snapshots: Any, as_json: bool) -> None:
    """A table that changes in place on a terminal; elsewhere a line for each run that has changed."""
    if sys.stdout.isatty() and not as_json:
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(highlight=False, markup=False), auto_refresh=False) as live:
            for rows in snapshots:
                live.update(_table(RUN_COLUMNS, [_run_cells(row) for row in rows]), refresh=True)
        return
    shown: dict[str, Any] = {}
    for rows in snapshots:
        for row in rows:
            if shown.get(row.run) != row:
                shown[row.run] = row
                print(json.dumps(row.as_dict()) if as_json else "  ".join(_run_cells(row)), flush=True)


RUN_COLUMNS = ["run", "state", "recipe", "data", "net", "batch", "lr", "epochs", "step", "validation", "speed", "when"]


def _run_cells(row: Any) -> list[str]:
    import time

    when = time.strftime("%m-%d %H:%M", time.localtime(row.when))
    if row.state == "broken":
        return [row.run, row.state, *[""] * 7, row.reason, "", when]
    terms = "  ".join(f"{name} {value:.5g}" for name, value in row.validation.items())
    speed = "" if row.seconds is None else f"{row.seconds:,.0f} s, {row.images_per_second or 0:,.0f}/s"
    return [
        row.run,
        row.state,
        row.recipe,
        Path(row.data).name or row.data,
        f"{row.size} px, {row.latent or '?'} dims, {row.precision}",
        str(row.batch),
        f"{row.lr:g}",
        f"{row.epochs:g}",
        f"{row.step:,}" + (f" of {row.steps:,}" if row.steps else ""),
        terms,
        speed,
        when,
    ]


# compare, recipes, import --------------------------------------------------------------------------------------------


def _compare_options(parser: ArgumentParser) -> None:
    parser.add_argument("runs", type=str, nargs="+", help="directories of runs, such as an AE and a VAE")
    parser.add_argument("--out", type=str, default="compare.html", help="the report, one HTML file")
    parser.add_argument("--data", type=str | None, default=None, help="pictures, where the runs' own are gone")
    parser.add_argument("--edits", type=str, nargs="+", default=["1*=2", "0*=10"], help="edits shown on one picture")
    parser.add_argument("--picture", type=str | None, default=None, help="the picture to edit; default: a test picture")
    _cache_option(parser)
    _json_option(parser)


def _compare(options: Namespace) -> None:
    from latentdial.progress import show_progress
    from latentdial.report.compare import compare

    with show_progress() as show:
        comparison = compare(
            options.runs, options.out, data=options.data, edits=options.edits, picture=options.picture, show=show
        )
    if options.json:
        _print_json(comparison.as_dict())
        return
    names, rows = comparison.table()
    _print_table("on the same test pictures", ["", *names], rows)
    print(f"report: {Path(options.out).resolve()}")


def _recipes_options(parser: ArgumentParser) -> None:
    _json_option(parser)


def _recipes(options: Namespace) -> None:
    from latentdial.recipes import RECIPES, options_of

    about = {name: " ".join((builder.__doc__ or "").split()) for name, builder in RECIPES.items()}
    if options.json:
        _print_json({name: {"about": about[name], "options": options_of(name)} for name in RECIPES})
        return
    rows = [[name, about[name], _options_text(options_of(name))] for name in RECIPES]
    _print_table("", ["recipe", "what it is", "options for --set"], rows)


def _import_options(parser: ArgumentParser) -> None:
    parser.add_argument("weights", type=str, help="a .pt state dict or .safetensors file")
    parser.add_argument("--recipe", type=str, required=True, help="the recipe whose nets the weights are of")
    parser.add_argument("--out", type=str, required=True, help="directory of the run to make")
    parser.add_argument("--data", type=str | None, default=None, help="pictures, for effects and edits in sd")
    _recipe_options(parser)
    parser.add_class_arguments(Geometry)
    _cache_option(parser)
    _json_option(parser)


def _import(options: Namespace) -> None:
    from latentdial.images import open_images
    from latentdial.progress import show_progress
    from latentdial.recipes import parse_options
    from latentdial.weights import import_weights

    geometry = _settings(Geometry, options)
    pixels = None
    if options.data:
        with show_progress() as show:
            pixels = open_images(DataSettings(options.data), geometry, show.advance).pixels
    chosen = parse_options(options.set, options.latent)
    import_weights(options.weights, options.recipe, options.out, geometry, chosen, pixels)
    if options.json:
        _print_json({"run": options.out, "recipe": options.recipe})
    else:
        print(f"imported {options.weights} as {options.recipe} into {options.out}")


# look, cache ---------------------------------------------------------------------------------------------------------


def _look_options(parser: ArgumentParser) -> None:
    parser.add_argument("data", type=str, help=DATA)
    parser.add_argument("--out", type=str, default="look.html", help="the page, one HTML file")
    parser.add_argument("--sheet", type=str, default="look.png", help="PNG with pictures from all over the set")
    parser.add_class_arguments(Geometry)
    parser.add_class_arguments(DataSettings, skip={"source"})
    _cache_option(parser)
    _json_option(parser)


def _look(options: Namespace) -> None:
    from latentdial.images import open_images
    from latentdial.images.survey import survey
    from latentdial.progress import show_progress
    from latentdial.report.look import save_sheet, write_look

    data = replace(_settings(DataSettings, options), source=options.data)
    with show_progress() as show:
        images = open_images(data, _settings(Geometry, options), show.advance)
        found = survey(images, data)
    write_look(found, options.data, Path(options.out))
    _write(lambda path: save_sheet(found, path), options.sheet)
    if options.json:
        _print_json(found.as_dict())
        return
    print(f"{len(images):,} pictures, {len(images.skipped):,} files left out")
    for sentence in found.findings():
        print(f"- {sentence}")
    for reason, names in found.reasons[:8]:
        print(f"- left out {len(names):,}: {reason}, such as {names[0]}")
    print(f"wrote {options.sheet} and {Path(options.out).resolve()}")


def _cache_options(parser: ArgumentParser) -> None:
    parser.add_argument("action", type=Literal["list", "clear"], help="list what is decoded, or remove it")
    _cache_option(parser)
    _json_option(parser)


def _cache(options: Namespace) -> None:
    from dataclasses import asdict

    from latentdial.images.cache import cache_entries, cache_folder, clear_cache

    if options.action == "clear":
        count, size = clear_cache()
        if options.json:
            _print_json({"removed": count, "bytes": size})
        else:
            print(f"removed {count} decoded sets ({size / 1e6:,.0f} MB) from {cache_folder()}")
        return
    entries = cache_entries()
    if options.json:
        _print_json([asdict(entry) | {"folder": str(entry.folder)} for entry in entries])
        return
    rows = [
        [
            entry.source,
            f"{entry.pictures:,}",
            f"{entry.skipped:,}",
            f"{entry.size} {entry.colour}",
            f"{entry.bytes / 1e6:,.0f}",
            entry.written,
        ]
        for entry in entries
    ]
    title = f"{cache_folder()}: {sum(entry.bytes for entry in entries) / 1e6:,.0f} MB"
    _print_table(title, ["source", "pictures", "skipped", "geometry", "MB", "written"], rows)


# explore -------------------------------------------------------------------------------------------------------------


def _explore_options(parser: ArgumentParser) -> None:
    _run_argument(parser)
    parser.add_argument("--out", type=str | None, default=None, help="write one HTML file in place of serving the page")
    parser.add_argument(
        "--data", type=str | None, default=None, help="pictures for the gallery; default: the run's own"
    )
    parser.add_argument(
        "--weights",
        type=Literal["auto", "int8", "fp16", "float32"],
        default="auto",
        help="as stored in it; auto: int8 as far as that is at most 2 levels of 255 off, else fp16",
    )
    parser.add_argument("--port", type=int, default=0, help="port of the local page; 0 takes a free one")
    parser.add_argument("--open", type=bool, default=True, help="open a browser on the local page, where there is one")
    _json_option(parser)


def _explore(options: Namespace) -> None:
    from latentdial.explorer import make_content, write_page
    from latentdial.progress import show_progress

    codec = _load(options.run)
    with show_progress() as show:
        content = make_content(
            codec, None, options.data, options.weights, need_nets=options.out is not None, progress=show.advance
        )
    if options.out is None:
        _serve(codec, content, options)
        return
    write_page(content, options.out)
    if options.json:
        keys = ("weights", "error", "fingerprint")
        about = {key: content.manifest[key] for key in keys}
        _print_json({"run": options.run, "out": options.out, "bytes": Path(options.out).stat().st_size, **about})
    else:
        print(
            f"wrote {options.out} ({Path(options.out).stat().st_size / 1e6:.1f} MB); it opens in any browser, offline"
        )


def _serve(codec: Any, content: Any, options: Namespace) -> None:
    import webbrowser

    from latentdial.explorer import address, make_server

    try:
        server = make_server(codec, content, options.port)
    except (OSError, OverflowError) as error:
        raise LatentdialError(f"cannot serve at port {options.port} ({error}): choose another --port") from None
    if options.json:
        _print_json({"run": options.run, "address": address(server)})
    else:
        print(f"exploring {options.run} at {address(server)} - Ctrl-C ends it")
    sys.stdout.flush()
    if options.open and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform != "linux"):
        webbrowser.open(address(server))
    with server:
        server.serve_forever()


COMMANDS: dict[str, tuple[Callable[[ArgumentParser], None], str, Callable[[Namespace], int | None]]] = {
    "train": (_train_options, "train a recipe on pictures and write a run", _train),
    "dimensions": (_dimensions_options, "rank every dimension by what it does to the picture", _dimensions),
    "directions": (_directions_options, "find, measure and name directions that change one thing", _directions),
    "disentanglement": (
        _disentanglement_options,
        "score how far each dimension carries one known factor",
        _disentanglement,
    ),
    "edit": (_edit_options, "change chosen dimensions of a picture's code and see what happens", _edit),
    "interpolate": (_interpolate_options, "go from one picture to another through the code space", _interpolate),
    "average": (_average_options, "decode the mean code of groups of pictures", _average),
    "analogy": (_analogy_options, "make D so that A : B :: C : D", _analogy),
    "sample": (_sample_options, "draw new pictures", _sample),
    "encode": (_encode_options, "write the codes of a whole set of pictures, resumable, shared by processes", _encode),
    "runs": (_runs_options, "list the runs below a directory with their settings and results, or follow them", _runs),
    "compare": (_compare_options, "compare runs in one HTML report", _compare),
    "explore": (_explore_options, "turn the dimensions in a page: served here, or written as one file", _explore),
    "recipes": (_recipes_options, "list what can be trained, with its paper", _recipes),
    "look": (_look_options, "see what a set of pictures holds: sizes, labels, duplicates, skipped files", _look),
    "cache": (_cache_options, "list or clear the decoded pictures", _cache),
    "import": (_import_options, "make a run of weights trained elsewhere", _import),
}


# what commands share -------------------------------------------------------------------------------------------------


def _run_argument(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=str, help="directory of a trained run")


def _cache_option(parser: ArgumentParser) -> None:
    parser.add_argument("--cache", type=str | None, default=None, help="where decoded pictures are kept")


def _json_option(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def _recipe_options(parser: ArgumentParser) -> None:
    parser.add_argument("--latent", type=int | None, default=None, help="latent dimensions; the recipe has a default")
    parser.add_argument("--set", type=str, nargs="+", default=[], help="recipe options, such as beta=4 widths=2048,512")


def _settings(kind: Callable[..., Any], options: Namespace) -> Any:
    """The part of the options that makes up one settings class."""
    names = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return kind(**{name: options[name] for name in names if name in options})


def _load(run: str):
    from latentdial.run import load

    return load(run)


def _save(picture, out: str) -> None:
    _write(picture.save, out)


def _write(write: Callable[[Path], Any], out: str) -> None:
    try:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        write(Path(out))
    except (OSError, ValueError) as error:
        raise LatentdialError(f"cannot write {out} ({error}): choose another --out ending in .png") from None


def _say_written(out: str | None) -> None:
    if out:
        print(f"wrote {out}")


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def _print_table(title: str, head: list[str], rows: list[list[Any]]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 140)
    if title:
        console.print(title)
    console.print(_table(head, rows))


def _table(head: list[str], rows: list[list[Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(head):
        table.add_column(name, justify="left" if i == 0 or not _numeric(rows, i) else "right")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


def _numeric(rows: list[list[Any]], column: int) -> bool:
    return all(str(row[column])[:1] in "0123456789-+" for row in rows)


def _options_text(options: dict[str, Any]) -> str:
    return "  ".join(
        f"{name}={','.join(map(str, value)) if isinstance(value, list) else value}" for name, value in options.items()
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"
