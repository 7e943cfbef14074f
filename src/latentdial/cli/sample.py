"""`latentdial sample`: draw new pictures."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import (
    given_option,
    json_option,
    load_run,
    number_option,
    out_option,
    print_json,
    run_argument,
    save_picture,
    say,
    say_written,
)

PRIOR = (
    "what codes are drawn from: model, the model's own prior; gaussian, mixture or diffusion, fitted to training "
    "codes, or words, to discrete ones (see fit-prior); neighbours, between training codes of like pictures: the "
    "best pictures and the least new ones; codes, training codes as they are; auto: the one under which held-out "
    "codes are likeliest"
)


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    number_option(parser, "-n", 64, 1, 10_000, "how many pictures")
    out_option(parser, "PNG to write", default="samples.png")
    parser.add_argument("--prior", type=str, default="auto", help=PRIOR)
    given_option(parser)
    number_option(parser, "--temperature", 1.0, 0, 100, "spread of the codes; 0 gives the mean picture")
    number_option(parser, "--seed", 0, 0, 2**31 - 1, "seed of the draw")
    json_option(parser)


def run(options: Namespace) -> None:
    from dataclasses import asdict

    from latentdial.latent.sampling import better, fit_of
    from latentdial.report.strips import sample_sheet

    codec = load_run(options.run, options.given)
    pictures = codec.sample(options.n, options.seed, options.temperature, options.prior)
    fit = fit_of(codec, options.prior)
    save_picture(sample_sheet(pictures, codec.name, fit, options.temperature, options.seed), options.out)
    if options.json:
        spread = {"spread": asdict(fit), "fits": fit.good}
        print_json({"run": options.run, "n": options.n, "prior": fit.prior, **spread, "out": options.out})
        return
    say(f"drawn from the prior {fit.prior!r}")
    for said in (fit.sentence(options.run), "" if fit.silent else better(codec, options.prior)):
        if said:
            say(said)
    say_written(options.out)
