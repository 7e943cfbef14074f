"""`latentdial fit-prior`: fit densities to the codes of a run, so that it can be sampled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import json_option, load_run, number_option, print_json, print_table, run_argument, say
from latentdial.config import PRIOR_STEPS
from latentdial.errors import LatentdialError
from latentdial.texts import command

if TYPE_CHECKING:
    from latentdial.latent.codec import Codec


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    parser.add_argument(
        "--kind",
        type=str,
        default="auto",
        help="gaussian, mixture or diffusion, or words for discrete codes; auto: all, and sample takes the best",
    )
    about = "that a diffusion learns for at most; 6000 take minutes and draw better"
    number_option(parser, "--steps", PRIOR_STEPS, 1, 100_000, about)
    number_option(parser, "--seed", 0, 0, 2**31 - 1, "seed of the fit")
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.latent.sampling import fit_prior, validation_codes
    from latentdial.priors.fitted import KINDS
    from latentdial.priors.stored import save_priors
    from latentdial.progress import show_progress

    kinds = KINDS if options.kind == "auto" else (options.kind,)
    codec = load_run(options.run)
    if codec.quantiser is not None:
        _fit_words(codec, options)
        return
    with show_progress() as show:
        held_out = validation_codes(codec, show.advance)
        fitted = fit_prior(codec, held_out, kinds, options.seed, show.advance, options.steps)
    save_priors(Path(options.run), fitted, codec.codes)
    if options.json:
        print_json({"run": options.run, "best": fitted.best, "held_out": fitted.held_out, "nats": dict(fitted.nats)})
        return
    best = max(fitted.nats.values(), default=0.0)
    print_table(
        f"{options.run}: priors judged on {fitted.held_out:,} held-out codes",
        ["prior", "log likelihood (nats)", "against the best"],
        [[kind, f"{nats:.1f}", f"{nats - best:+.1f}"] for kind, nats in sorted(fitted.nats.items(), key=_falling)],
    )
    say(f"sample and explore draw from: {fitted.best}. Next: {command('sample', options.run)}")


def _fit_words(codec: Codec, options: Namespace) -> None:
    """A discrete code has no density: its numbers have a probability."""
    from latentdial.latent.sampling import fit_word_prior
    from latentdial.priors.words import save_words
    from latentdial.progress import show_progress

    if options.kind not in ("auto", "words"):
        raise LatentdialError(f"the codes of {options.run} are words, which have no density: leave out --kind")
    with show_progress() as show:
        fitted = fit_word_prior(codec, options.seed, show.advance)
    save_words(Path(options.run), fitted, codec.codes)
    found = {"words": fitted.nats, "all as likely": fitted.uniform}
    if options.json:
        print_json({"run": options.run, "best": "words", "held_out": fitted.held_out, "nats": found})
        return
    rows = [[kind, f"{nats:.1f}", f"{nats - fitted.nats:+.1f}"] for kind, nats in found.items()]
    title = f"{options.run}: priors judged on {fitted.held_out:,} held-out codes"
    print_table(title, ["prior", "log probability (nats)", "against the best"], rows)
    say(f"sample draws from: words. Next: {command('sample', options.run)}")


def _falling(pair: tuple[str, float]) -> float:
    return -pair[1]
