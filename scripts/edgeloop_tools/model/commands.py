"""`model`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers

TASKS = ("classification", "detection", "segmentation", "one_class", "embedding", "keypoints")
HEADS = (
    "boxes", "yolo", "yolo_end", "ssd", "points", "centernet", "classification", "segmentation", "one_class",
    "memory_bank", "embedding", "keypoints",
)  # fmt: skip


def register(subparsers: Subparsers) -> None:
    model = subparsers.add_parser("model", help="packages of models: make, sign, verify, compare, publish")
    actions = model.add_subparsers(dest="action", required=True, metavar="ACTION")
    _package(actions)
    inspect = actions.add_parser("inspect", help="what a package says of itself")
    inspect.add_argument("package", type=Path, metavar="FILE.tar")
    inspect.add_argument("--card", action="store_true", help="for people: what it is for, and its figures")
    inspect.set_defaults(run=_inspect)
    keygen = actions.add_parser("keygen", help="a pair of keys: NAME.key signs and stays here, NAME.pub is for devices")
    keygen.add_argument("-o", "--out", type=Path, required=True, metavar="NAME")
    keygen.set_defaults(run=_keygen)
    sign = actions.add_parser("sign", help="signs a package's manifest (Ed25519)")
    sign.add_argument("package", type=Path, metavar="FILE.tar")
    sign.add_argument("--key", type=Path, required=True, metavar="NAME.key", help="the private key")
    sign.add_argument("-o", "--out", type=Path, metavar="FILE.tar", help="default: the package itself")
    sign.set_defaults(run=_sign)
    verify = actions.add_parser("verify", help="whether a device would take a package")
    verify.add_argument("package", type=Path, metavar="FILE.tar")
    verify.add_argument(
        "--key", action="append", default=[], metavar="NAME.pub", help="a public key that may have signed it; again"
    )
    verify.add_argument("--try", dest="attempt", action="store_true", help="loads it and gives it its golden set")
    verify.set_defaults(run=_verify)
    diff = actions.add_parser("diff", help="what differs between two packages")
    diff.add_argument("first", type=Path, metavar="FILE.tar")
    diff.add_argument("second", type=Path, metavar="FILE.tar")
    diff.set_defaults(run=_diff)
    compare = actions.add_parser("compare", help="what a candidate (shadow) said beside the model that serves")
    compare.add_argument("name", metavar="NAME")
    compare.add_argument("--last", default="1d", metavar="SPAN", help="such as 2h (default: 1d)")
    compare.add_argument("--root", type=Path, default=Path("/greengrass/v2"), help="of the nucleus")
    compare.add_argument("--json", action="store_true", help="one JSON document")
    compare.set_defaults(run=_compare)
    publish = actions.add_parser("publish", help="puts a package where devices find it; a version never changes")
    publish.add_argument("package", type=Path, metavar="FILE.tar")
    publish.add_argument("--to", required=True, metavar="s3://BUCKET/PREFIX|DIR")
    publish.add_argument("--registry", default="", metavar="GROUP", help="also an entry of SageMaker's Model Registry, "
                         "waiting for approval; a line names it as uri: sagemaker:GROUP")  # fmt: skip
    publish.add_argument("--component", default="", metavar="NAME", help="also a Greengrass component that brings it, "
                         "such as com.example.Surface: recipe and artifact below --out")  # fmt: skip
    publish.add_argument("-o", "--out", type=Path, default=Path("greengrass"), metavar="DIR", help="of --component")
    publish.add_argument("--unsigned", action="store_true", help="although it is not signed")
    publish.set_defaults(run=_publish)
    _variants(actions)


def _variants(actions: Subparsers) -> None:
    from edgeloop_tools.model.targets import TARGETS

    quantize = actions.add_parser(
        "quantize",
        help="an int8 variant beside the float32 one, where both say the same",
        description="A package with both: each device tries both and takes the faster one that passes its golden set.",
    )
    quantize.add_argument("--images", type=Path, metavar="DIR", help="what it will see: ranges and parity are theirs")
    quantize.add_argument("--parity", type=float, default=0.99, metavar="P", help="part of them judged alike (0.99)")
    compiled = actions.add_parser(
        "compile",
        help="a variant by SageMaker Neo, run by dlr",
        description="Starts a compilation job, waits, and puts what it made into the package. Neo's frameworks for the "
        "edge are frozen (ONNX 1.7: opset 12, fixed sizes): what it cannot take is refused before anything is sent.",
    )
    compiled.add_argument("--to", required=True, metavar="s3://BUCKET/PREFIX", help="what goes there and comes back")
    compiled.add_argument("--role", required=True, metavar="ARN", help="that SageMaker takes: reads and writes there")
    compiled.add_argument("--target", required=True, metavar="TARGET", help=", ".join(TARGETS))
    for command, run in ((quantize, _quantize), (compiled, _compile)):
        command.add_argument("package", type=Path, metavar="FILE.tar")
        command.add_argument("--version", default="", metavar="X.Y.Z", help="default: the next one")
        command.add_argument("--sign", type=Path, metavar="KEY", help="the old signature is of another manifest")
        command.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.tar")
        command.set_defaults(run=run)


def _package(actions: Subparsers) -> None:
    package = actions.add_parser(
        "package",
        help="a package of an ONNX model: looked at, tried on pictures, measured",
        description="What is not said is found out from the graph and from pictures, shown with the option that would "
        "change it. Exit code 1 where nobody can read the model's outputs.",
    )
    add = package.add_argument
    add("model", type=Path, metavar="MODEL.onnx|DIR", help="a file, or a folder with one (and labels.txt)")
    add("--task", default="", choices=("", *TASKS), metavar="T", help=", ".join(TASKS))
    add("--name", required=True, metavar="N", help="of the model in the configuration: a-z 0-9 _ -")
    add("--version", required=True, metavar="X.Y.Z")
    add("--labels", type=Path, metavar="FILE", help="one a line, or YAML or JSON")
    add("--images", type=Path, metavar="DIR", help="pictures, good ones where there are bad ones too")
    add("--bad", type=Path, metavar="DIR", help="pictures that must fail: threshold and confidence come from them")
    add("--head", default="", choices=("", *HEADS), metavar="NAME", help=", ".join(HEADS))
    add("--size", default="", metavar="WxH", help="of the input, where the graph leaves it open")
    add(
        "--fit",
        default="",
        choices=("", "stretch", "letterbox", "crop"),
        metavar="HOW",
        help="stretch, letterbox, crop",
    )
    add("--colours", default="", choices=("", "rgb", "bgr", "grey"), metavar="C", help="rgb, bgr or grey")
    add("--scale", type=float, metavar="S", help="values 0..255 are divided by it")
    add("--mean", default="", metavar="M", help="subtracted after that: a number, or one for each channel (a,b,c)")
    add("--std", default="", metavar="D", help="what is divided by after that, likewise")
    add("--threshold", type=float, metavar="T", help="score from which a part fails")
    add("--golden", type=int, default=4, metavar="N", help="cases that each device has to reproduce (4)")
    add("--sign", type=Path, metavar="KEY", help="file of the private key, as `model keygen` makes it")
    add("--preview", type=Path, metavar="DIR", help="writes the pictures there, with what was seen on them")
    add("--description", default="", metavar="TEXT", help="for the card")
    add("--licence", default="", metavar="TEXT", help="of the model, for the card")
    add("--json", action="store_true", help="one JSON document")
    add("-o", "--out", type=Path, required=True, metavar="FILE.tar")
    package.set_defaults(run=_make)


def _make(arguments: argparse.Namespace) -> int:
    from edgeloop_tools import extras

    extras.need("vision")
    from edgeloop_tools.model import show
    from edgeloop_tools.model.make import Wishes, make

    wishes = Wishes(
        model=arguments.model, name=arguments.name, version=arguments.version, out=arguments.out, task=arguments.task,
        labels=arguments.labels, images=arguments.images, bad=arguments.bad, head=arguments.head,
        size=show.size(arguments.size), fit=arguments.fit, colours=arguments.colours, scale=arguments.scale,
        mean=show.numbers(arguments.mean, "--mean"), deviation=show.numbers(arguments.std, "--std"),
        threshold=arguments.threshold, golden=arguments.golden, key=show.key(arguments.sign),
        description=arguments.description, licence=arguments.licence,
    )  # fmt: skip
    show.check(wishes)
    made = make(wishes)
    if arguments.preview is not None:
        show.preview(made, arguments.preview)
    print(show.document(made) if arguments.json else show.text(made))
    return 0


def _inspect(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.model import show

    print(show.inspected(arguments.package, card=arguments.card))
    return 0


def _keygen(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.model import keys

    key, public, text = keys.generate(arguments.out)
    print(f"{key}: the private key; keep it off every device\n{public}: the public one; in a line's configuration:")
    print(f"components: {{ModelUpdate: {{keys: {{{arguments.out.name}: \"{text}\"}}}}}}")
    return 0


def _sign(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.model import signed

    out = arguments.out or arguments.package
    manifest, digest = signed.sign(arguments.package, arguments.key, out)
    print(f"{out}: {manifest.name} {manifest.version}, signed, digest {digest}")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from edgeloop_tools import extras
    from edgeloop_tools.model import keys, signed

    if arguments.attempt:
        extras.need("models")
    trusted = dict(keys.public(text) for text in arguments.key)
    print("\n".join(signed.verify(arguments.package, trusted, attempt=arguments.attempt)))
    return 0


def _diff(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.model import signed

    print("\n".join(signed.difference(arguments.first, arguments.second)) or "nothing differs")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.model import compare

    found = compare.compare(arguments.root, arguments.name, arguments.last)
    print(json.dumps(found) if arguments.json else compare.text(arguments.name, found))
    return 0


def _publish(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.model import publish

    manifest, found, new = publish.publish(arguments.package, arguments.to, unsigned=arguments.unsigned)
    print(f"{found.uri}: {manifest.name} {manifest.version}" + ("" if new else ", there already"))
    print(f"models: {{{manifest.name}: {{uri: \"{found.uri}\", digest: \"sha256:{found.digest}\"}}}}")
    if arguments.registry:
        from edgeloop_tools.model import registry

        print(f"{registry.enter(arguments.registry, manifest, found)}: waiting for approval")
    if arguments.component:
        from edgeloop_tools.model import component

        print("\n".join(component.write(arguments.package, arguments.component, arguments.out)))
    return 0


def _quantize(arguments: argparse.Namespace) -> int:
    from edgeloop_tools import extras

    extras.need("vision")
    from edgeloop_tools.model import quantize, show, variants

    made = quantize.quantize(
        arguments.package, arguments.out, images=arguments.images, version=arguments.version,
        parity=arguments.parity, key=show.key(arguments.sign),
    )  # fmt: skip
    manifest, parity = made.extended.manifest, made.parity
    print(f"{arguments.out}: {manifest.name} {manifest.version}, {made.how}, digest {made.extended.digest}")
    print(f"  the same on {parity.same:.1%} of {parity.inputs} inputs, scores differ by {parity.score:.4f} (median)")
    print("\n".join([*variants.lines(made.extended, variants.bytes_of(manifest)), *made.notes]))
    return 0


def _compile(arguments: argparse.Namespace) -> int:
    from edgeloop_tools import extras

    extras.need("models")
    from edgeloop_tools.model import neo, show, variants

    made = neo.compile_package(
        arguments.package, arguments.out, to=arguments.to, role=arguments.role, target=arguments.target,
        version=arguments.version, key=show.key(arguments.sign),
    )  # fmt: skip
    print(f"{arguments.out}: {made.manifest.name} {made.manifest.version}, digest {made.digest}")
    print("\n".join(variants.lines(made, variants.bytes_of(made.manifest))))
    return 0
