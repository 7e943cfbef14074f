"""`latentdial anomalies`: score which pictures do not belong."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from latentdial import outputs
from latentdial.cli.shared import (
    DATA,
    cache_option,
    check_exists,
    check_labels,
    check_source,
    checked,
    json_option,
    number_option,
    out_option,
    print_json,
    print_table,
    run_argument,
    say,
    say_written,
)
from latentdial.outputs import PAGE, TABLE


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    about = f"the pictures to score; default: the test pictures of the run; {DATA}"
    checked(parser.add_argument("pictures", type=str | None, nargs="?", default=None, help=about), check_source)
    out_option(parser, "CSV: file, score, percentile, odd, reason, place", TABLE)
    out_option(parser, "HTML page with the oddest pictures", PAGE, "--report")
    out_option(parser, "CSV of two columns, ID and score, as courses ask", TABLE, "--submit")
    about = "normal pictures; default: the run's held-out"
    checked(parser.add_argument("--normal", type=str | None, default=None, help=about), check_source)
    parser.add_argument(
        "--false_alarms",
        type=str | None,
        default=None,
        help="share of normal pictures that may be called odd, such as 1%, which is the default",
    )
    about = "a CSV of file,label; or data: their own"
    checked(parser.add_argument("--labels", type=str | None, default=None, help=about), check_labels)
    parser.add_argument(
        "--good", type=str, nargs="+", default=[], help="labels of normal pictures; default: 0 normal good"
    )
    about = "where pictures are odd: a folder of masks, or array"
    checked(parser.add_argument("--masks", type=str | None, default=None, help=about), check_source)
    about = "move the threshold by the labels of this CSV"
    checked(parser.add_argument("--correct", type=str | None, default=None, help=about), check_exists)
    parser.add_argument(
        "--scores", type=str, nargs="+", default=[], help="what makes up the score; default: all that help"
    )
    parser.add_argument("--again", action="store_true", help="fit again what the run holds already")
    number_option(parser, "--top", 12, 1, 1_000_000, "of the oddest pictures that are listed")
    cache_option(parser)
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.anomaly.detecting import anomalies, heat_of
    from latentdial.anomaly.detector import enlarged
    from latentdial.anomaly.truth import agreement, mask_sample, read_masks, read_truth
    from latentdial.cli.shared import load_run
    from latentdial.config import DataSettings
    from latentdial.images import open_images, open_parts
    from latentdial.progress import show_progress

    with show_progress() as show:
        codec = load_run(options.run)
        if options.pictures is None:
            assert codec.config is not None  # noqa: S101 - that of a run
            images = open_parts(codec.config, show.advance).test
        else:
            images = open_images(DataSettings(options.pictures), codec.geometry, show.advance)
        truth = read_truth(options.labels, images, options.good) if options.labels else None
        masks = read_masks(options.masks, images, codec.geometry) if options.masks else None
        found = anomalies(
            options.run,
            images,
            normal=options.normal,
            false_alarms=options.false_alarms,
            scores=options.scores or None,
            again=options.again,
            show=show,
        )
        if options.correct:
            found = _corrected(found, options, codec)
        agrees = None
        if masks is not None:
            truth, few = truth or _by_masks(masks), mask_sample(masks)
            heat = enlarged(heat_of(codec, found.detector, images.pixels[few]), codec.geometry.size)
            agrees = agreement(found.score, found.scores, found.odd, truth, heat, masks[few])
        elif truth is not None:
            agrees = agreement(found.score, found.scores, found.odd, truth)
        if options.report:
            from latentdial.report.anomalies import Found, write_anomalies

            write_anomalies(Found(codec, found, images, truth, agrees, options.normal), Path(options.report), show)
    if options.out:
        outputs.write(options.out, _table(list(found.rows())))
    if options.submit:
        outputs.write(options.submit, _table(_submission(found)))
    if options.json:
        print_json({"run": options.run, **_summary(found), "agreement": agrees.as_dict() if agrees else None})
        return
    _say(found, agrees, options)


def _corrected(found: Any, options: Namespace, codec: Any) -> Any:
    from latentdial.anomaly.stored import save_settings
    from latentdial.anomaly.truth import read_labels

    found = found.correct(read_labels(Path(options.correct)), options.good)
    save_settings(Path(options.run), codec, found.detector)
    return found


def _by_masks(masks: Any) -> Any:
    from latentdial.anomaly.truth import Truth

    return Truth(["marked" if one else "" for one in masks.any((1, 2))])


def _summary(found: Any) -> dict[str, Any]:
    detector = found.detector
    return {
        "threshold": found.threshold,
        "false_alarms": detector.false_alarms,
        "false_alarms_between": detector.realised,
        "corrected": detector.corrected is not None,
        "normal_pictures": len(detector.normal),
        "combined": detector.combined,
        "told_apart": detector.told_apart,
        "odd": None if found.odd is None else int(found.odd.sum()),
        "notes": found.notes,
        "pictures": list(found.rows()),
    }


def _submission(found: Any) -> list[dict[str, Any]]:
    """IDs as courses number them: the place in an array, else the name of the file."""
    in_array = all(name.endswith(f"[{i}]") for i, name in enumerate(found.names))
    return [{"ID": i if in_array else name, "score": float(found.score[i])} for i, name in enumerate(found.names)]


def _table(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _say(found: Any, agrees: Any, options: Namespace) -> None:
    rows = [
        [
            found.names[i],
            f"{found.score[i]:.2f}",
            f"{found.percentile[i]:.1f}",
            "?" if found.odd is None else "odd" if found.odd[i] else "normal",
            found.reason[i],
            found.where[i],
        ]
        for i in found.order[: options.top]
    ]
    print_table(found.sentence(), ["picture", "score", "percentile", "verdict", "by", "where"], rows)
    for sentence in [] if agrees is None else agrees.sentences():
        say(sentence)
    for note in found.notes:
        say(f"note: {note}")
    for path in (options.out, options.submit, options.report):
        say_written(path)
