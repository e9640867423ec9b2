"""`demo`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers


def register(subparsers: Subparsers) -> None:
    demo = subparsers.add_parser(
        "demo",
        help="run the whole loop on this machine and report",
        description="Builds, starts the local core, deploys everything from recipes/ and artifacts/, shows it live, "
        "kills SensorIngest in the middle, and reports what an observer measured. "
        "Ctrl-C ends it early; the report is written.",
    )
    demo.add_argument("--duration", type=_positive, default=60.0, metavar="S", help="seconds after the install (60)")
    demo.add_argument("--seed", type=int, default=7, metavar="N", help="of the simulated faults (7)")
    demo.add_argument("--report", type=Path, metavar="FILE", help="the JSON report; report.html is written beside it")
    demo.add_argument("--replay", type=Path, nargs="+", action="extend", default=[], metavar="FILE",
                      help="CSV files, or .npy recordings in order (healthy first), instead of machines")  # fmt: skip
    demo.add_argument("--rate", type=_positive, default=48000.0, metavar="HZ", help="of the .npy recordings (48000)")
    demo.add_argument("--nucleus", choices=("classic", "lite"), default="classic", help="whose rules and limits hold")
    demo.add_argument("--machines", type=_count, metavar="N", help="simulated machines (2; 0 with --replay)")
    demo.add_argument("--camera", metavar="URI", help="a camera of your own instead of the conveyor: "
                      "a folder of images, a file, rtsp://…, /dev/video0")  # fmt: skip
    demo.add_argument("--models", action="store_true", help="instead: a signed model, a forged one, a step back to an "
                      "older one, and a candidate beside the model that serves")  # fmt: skip
    demo.add_argument("--video", action="store_true", help="another story: the same parts judged at the edge, in the "
                      "cloud and by both, side by side; then the network goes")  # fmt: skip
    demo.add_argument("--loop", action="store_true", help="another story: a weak model, labels for what it is "
                      "unsure of, a better one in use; accuracy over labels as a plot")  # fmt: skip
    demo.add_argument("--fleet", type=int, nargs="?", const=20, metavar="N", help="another story: N lines (20) of "
                      "three sites over 90 days, what analyses find, and back to one live line")  # fmt: skip
    demo.add_argument("--arm", action="store_true", help="let the rule stop the simulated machine from the start")
    demo.add_argument("--root", type=Path, metavar="DIR", help="the core's folder, kept for the next demo")
    demo.add_argument("--json", action="store_true", help="one JSON object per line, the report last")
    demo.set_defaults(run=_demo)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is no positive number")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 64:
        raise argparse.ArgumentTypeError("0 to 64 machines")
    return value


def _demo(arguments: argparse.Namespace) -> int:
    from edgeloop.errors import EdgeloopError
    from edgeloop_tools.demo.run import Options, run

    if arguments.video and (arguments.models or arguments.replay or arguments.camera):
        raise EdgeloopError("--video is a story of its own", mend="leave out --models, --replay, --camera")
    if arguments.loop and (arguments.models or arguments.video or arguments.replay or arguments.camera):
        raise EdgeloopError("--loop is a story of its own", mend="leave out --models, --video, --replay, --camera")
    others = (arguments.video, arguments.models, arguments.loop, arguments.replay, arguments.camera, arguments.machines)
    if arguments.fleet is not None and any(others):
        raise EdgeloopError("--fleet is a story of its own", mend="leave out the others, and --machines")
    if arguments.models and (arguments.replay or arguments.camera or arguments.machines or arguments.arm):
        raise EdgeloopError("--models is a story of its own", mend="leave out --replay, --camera, --machines, --arm")
    machines = arguments.machines
    if machines is None:
        machines = 0 if arguments.replay else 2
    if not machines and not arguments.replay:
        raise EdgeloopError("nothing to run", where="--machines 0", mend="give a number of machines, or --replay FILE")
    options = Options(
        duration=arguments.duration,
        seed=arguments.seed,
        nucleus=arguments.nucleus,
        machines=machines,
        replay=tuple(arguments.replay),
        rate=arguments.rate,
        arm=arguments.arm,
        camera=arguments.camera,
        report=arguments.report,
        root=arguments.root,
        as_json=arguments.json,
        models=arguments.models,
    )
    if arguments.fleet is not None:
        from edgeloop_tools.demo import fleet

        return fleet.run(options, arguments.fleet)
    if arguments.video:
        from edgeloop_tools.demo import video

        return video.run(options)
    if arguments.loop:
        from edgeloop_tools.demo import loop

        return loop.run(options)
    return run(options)
