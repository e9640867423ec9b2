"""`backtest`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers

FAULTS = ("spike", "level", "drift", "noise", "flat", "dropout")


def register(subparsers: Subparsers) -> None:
    from edgeloop_tools.tables import add_options

    backtest = subparsers.add_parser(
        "backtest",
        help="AnomalyInference's engine over recordings",
        description="Every table below a folder (CSV, Parquet, …), as a stream: the first column is the time, "
        "the rest are channels. "
        "Below --output the same path holds a line for each row, with the header time, event_score, event_alert, "
        "condition_score, condition_alert, changepoint, notice; scores are return times (log10 s between false "
        "alarms). A condition that lasts becomes a notice, which is no alarm.",
    )
    add = backtest.add_argument
    add("--input", type=Path, required=True, metavar="DIR", help="folder of recordings, or one file")
    add("--output", type=Path, metavar="DIR", help="where the scores go")
    add("--learn-rows", type=_rows, metavar="N", help="rows that are learned first; otherwise the monitor's default")
    add("--ignore", default="", metavar="COLUMNS", help="columns left out, separated by commas, such as labels")
    add("--label", default="", metavar="COLUMN", help="says which rows are not normal: what was found and what was not")
    add("--budget", metavar="BUDGET", help='false alarms that are acceptable, such as "1 alarm/day"')
    add("--inject", metavar="FAULT", choices=(*FAULTS, "all"), help=f"put faults into them: {', '.join(FAULTS)} or all")
    add("--severity", type=_positive, default=4.0, metavar="X", help="of these faults, in the channel's spreads (4)")
    add("--runs", type=_rows, default=20, metavar="N", help="faults of a kind to put in (20)")
    add("--seed", type=int, default=1, metavar="N", help="of their places (1)")
    add("--model", type=Path, metavar="PACKAGE", help="a model package that scores beside the engine")
    add("--detect", default="", metavar="NAMES", help='as of a monitor, such as "events conditions" (that)')
    add("--plugins", type=Path, metavar="DIR", help="folder of plug-ins whose detectors --detect may name")
    add("--page", type=Path, metavar="FILE.html", help="series, scores, alarms and labels of each recording, drawn")
    add("--json", action="store_true", help="the summary as JSON")
    add_options(backtest)
    backtest.set_defaults(run=_backtest)


def _backtest(arguments: argparse.Namespace) -> int:
    from edgeloop.config.quantities import Budget
    from edgeloop.errors import EdgeloopError
    from edgeloop_tools.backtest.run import Options, run
    from edgeloop_tools.tables import options

    if arguments.model is not None or arguments.page is not None:
        from edgeloop_tools import extras

        extras.need(*["models"] * (arguments.model is not None), *["plots"] * (arguments.page is not None))
    if arguments.output is None and arguments.inject is None and not arguments.label and arguments.page is None:
        mend = "give --output, --page, --label or --inject"
        raise EdgeloopError("nowhere to write the scores", where="backtest", mend=mend)
    try:
        budget = Budget(arguments.budget) if arguments.budget else None
    except ValueError as error:
        raise EdgeloopError("not a budget", where="--budget", why=str(error)) from None
    return run(
        Options(
            table=options(arguments),
            input=arguments.input,
            output=arguments.output,
            learn=arguments.learn_rows,
            ignore=tuple(name.strip() for name in arguments.ignore.split(",") if name.strip()),
            label=arguments.label,
            budget=budget,
            faults=() if arguments.inject is None else FAULTS if arguments.inject == "all" else (arguments.inject,),
            severity=arguments.severity,
            runs=arguments.runs,
            seed=arguments.seed,
            json=arguments.json,
            model=arguments.model,
            detect=arguments.detect,
            plugins=arguments.plugins,
            page=arguments.page,
        )
    )


def _rows(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError("more than 0")
    return value
