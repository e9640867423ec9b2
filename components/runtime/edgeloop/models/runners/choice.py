"""The runner for a variant."""

from __future__ import annotations

from edgeloop.models.errors import ModelError
from edgeloop.models.manifest import Variant
from edgeloop.models.package import Package
from edgeloop.models.runners.base import DEFAULT, Options, Runner
from edgeloop.models.runners.neo import NeoRunner
from edgeloop.models.runners.onnx import OnnxRunner


def open_runner(package: Package, variant: Variant, options: Options = DEFAULT) -> Runner:
    """Loads a variant. Raises ModelRefused where it cannot be loaded, ModelError where its runtime is not there."""
    if variant.runtime == "dlr":
        return NeoRunner(package.path(variant), package.manifest, options)
    if variant.runtime != "onnxruntime":
        raise ModelError("there is no runner for this variant", where=variant.path, why=variant.runtime)
    return OnnxRunner(package.path(variant), package.manifest, options)
