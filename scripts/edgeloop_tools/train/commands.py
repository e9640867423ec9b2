"""The verb `train`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers


def register(subparsers: Subparsers) -> None:
    train = subparsers.add_parser("train", help="samples to a model package; also as a SageMaker training job")
    kinds = train.add_subparsers(dest="kind", required=True, metavar="KIND")
    series = kinds.add_parser(
        "timeseries", help="a model of what a healthy machine's channels look like",
        description="Learns from healthy samples, calibrates and measures on later ones, proves the package.",
    )  # fmt: skip
    _timeseries(series)
    series.set_defaults(run=_train)
    images = kinds.add_parser(
        "images", help="a model of labelled pictures, and whether it beats the one that is active",
        description="Frozen features and logistic regression: seconds, no PyTorch. Splits keep parts, moments and "
        "near-duplicates together. With --against only what is better by more than chance is offered (else exit 3).",
    )  # fmt: skip
    _images(images)
    images.set_defaults(run=_run_images)
    bundle = kinds.add_parser(
        "bundle", help="sourcedir.tar.gz for SageMaker's script mode",
        description="The training program and the library, with train.py and requirements.txt.",
    )  # fmt: skip
    bundle.add_argument("-o", "--output", type=Path, default=Path("sourcedir.tar.gz"), metavar="FILE")
    bundle.set_defaults(run=_bundle)


def _images(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--input", metavar="WHERE", help="a data set, .lst, .rec, augmented manifest; a channel `training` of a job")
    add("--name", default="model", help="of the model (model)")
    add("--version", default="", help="of the model (1.0.0; the next minor one of --against)")
    add("--model-dir", metavar="DIR", help="where the package goes (.)")
    add("--costs", default="", metavar="escape=50,reject=1", help="of a bad part that passes, of a good one rejected")
    add("--site-column", default="site", metavar="NAME", help="of the manifest's `about`, that says the site (site)")
    add("--against", metavar="active|FILE.tar", help="the gain gate: exit code 3 where it is no better than that")
    add("--force", default="", metavar="REASON", help="although the gate refuses; the reason goes into the manifest")
    add("--root", type=Path, metavar="DIR", help="of the core whose model is `active` ($EDGELOOP_CORE_ROOT)")
    add("--key", type=Path, metavar="NAME.key", help="signs the package")
    add("--epochs", type=_count, default=24, metavar="N", help="of a detector (24)")
    add("--seed", type=int, default=0, metavar="N", help="(0)")
    add("--json", action="store_true", help="package, metrics and the gate's word as one JSON object")


def _run_images(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.train.job import Job

    job = Job.here()
    try:
        if not job.model:
            from edgeloop_tools.extras import need

            need("vision")
        from edgeloop_tools.train.images.command import run

        return run(arguments, job)
    except Exception as error:
        job.failed(str(error))
        raise


def _timeseries(parser: argparse.ArgumentParser) -> None:
    """Defaults are SageMaker's where there is a job, else the program's; the former are looked up when it runs."""
    from edgeloop_tools.tables import add_options

    add = parser.add_argument
    add(
        "--input",
        metavar="WHERE",
        help="tables (CSV, Parquet, …), a file or a folder; or s3://bucket/prefix of uploaded data",
    )
    add("--validation", metavar="WHERE", help="to measure on; otherwise the last fifth of the time")
    add("--labels", metavar="FILE", help="alarms.jsonl, uploaded records, or a CSV file of start,end,reason")
    add("--stream", default="", metavar="NAME", help="of uploaded data")
    add("--channels", default="", metavar="NAMES", help="separated by blanks or commas; all, where not given")
    add("--ignore", default="", metavar="COLUMNS", help="left out, such as labels")
    add("--start", metavar="TIME", help="first time used, ISO 8601 (UTC where it names no zone)")
    add("--end", metavar="TIME", help="time that is no longer used")
    add("--window", default="", metavar="SPAN", help="that one score looks at, such as 30 or 30s (64 samples; 4096)")
    add("--hop", default="", metavar="SPAN", help="between two scores (a quarter of the window; from 200 Hz on all)")
    add("--method", choices=("pca", "autoencoder"), default="pca", help="(pca)")
    add("--epochs", type=_count, default=60, metavar="N", help="of the autoencoder (60)")
    add("--budget", default="1 alarm/week", metavar="BUDGET", help='"1 alarm/week"')
    add("--seed", type=int, default=1, metavar="N", help="(1)")
    add("--name", default="", help="of the model; otherwise the stream's")
    add("--version", default="1.0.0", help="of the model (1.0.0)")
    add("--model-dir", metavar="DIR", help="where the package goes (.)")
    add("--output-data-dir", metavar="DIR", help="where metrics.json goes (nowhere)")
    add("--json", action="store_true", help="metrics and package as one JSON object")
    add_options(parser)


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 10_000:
        raise argparse.ArgumentTypeError("1 to 10000")
    return value


def script(words: Sequence[str]) -> int:
    """The training script: `timeseries` alone, with a job's hyperparameters. The exit code."""
    from edgeloop.errors import EdgeloopError
    from edgeloop_tools.train.job import Job, dashes

    given = [word for word in words[:1] if word not in ("train", "timeseries")] + list(words[1:])
    parser = argparse.ArgumentParser(prog="train", allow_abbrev=False)
    _timeseries(parser)
    job = Job.here()
    try:
        arguments = parser.parse_args(dashes(given or job.arguments()))
        return _run(arguments)
    except SystemExit as error:
        if error.code:
            job.failed(f"wrong hyperparameters: {' '.join(given)}; see `train --help`")
        return int(error.code or 0)
    except EdgeloopError as error:
        print(f"edgeloop: {error}", file=sys.stderr)
        return 1


def _train(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.extras import need

    need("models", *(["parquet"] if str(arguments.input).startswith("s3:") else []))
    return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from edgeloop.errors import EdgeloopError
    from edgeloop_tools.train.job import Job
    from edgeloop_tools.train.options import options
    from edgeloop_tools.train.run import run

    job = Job.here()
    try:
        run(options(arguments, job))
    except EdgeloopError as error:
        job.failed(str(error))
        raise
    except Exception as error:
        job.failed(f"unexpected {type(error).__name__}: {error}")
        raise
    return 0


def _bundle(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.train.bundle import bundle

    path: Path = arguments.output
    size = bundle(path)
    print(f"{path} {size:,} B: sagemaker_program=train.py")
    return 0
