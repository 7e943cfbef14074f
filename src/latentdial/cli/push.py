"""`latentdial push`: put a run on a hub."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from latentdial.cli.shared import DATA, cache_option, check_source, checked, json_option, print_json, run_argument, say
from latentdial.texts import command


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    parser.add_argument("to", type=str, help="hub:user/name, or hub:user/name@branch")
    parser.add_argument("--public", action="store_true", help="everybody may see it; only you without")
    parser.add_argument("--space", action="store_true", help="also make a page there of the explorer")
    data = parser.add_argument("--data", type=str | None, default=None, help=f"pictures that the page shows, {DATA}")
    checked(data, check_source)
    parser.add_argument("--license", type=str, default="", help="for the card, such as apache-2.0")
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.progress import show_progress
    from latentdial.sharing import push

    with show_progress() as show:
        done = push(options.run, options.to, options.public, options.space, options.license, options.data, show.advance)
    if options.json:
        print_json({"run": options.run, "address": str(done.address), "url": done.url, "space": done.space})
        return
    say(f"pushed {options.run} to {done.url}, {'for everybody' if options.public else 'for you alone'}")
    say("it holds codes of training pictures, which decode to pictures like them (README.md says so)")
    if done.space:
        say(f"the explorer is at {done.space}")
    say(f"Next: {command('dimensions', done.address)}")
