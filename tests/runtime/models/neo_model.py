"""A model as SageMaker Neo makes them, for x86-64: one dense layer, in the graph format of TVM's runtime."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import numpy as np

CODE = zlib.decompress(
    base64.b64decode(
        "eNqrd/VxY2JkZIABZgY7BgSPgcEBSlcIIItZMLACSS4GTrBaVgbcwIAJlWaAmgPSxwbEAfwQfoA8Kr2BAZWG6WMiUR8HlA58WpLCxkA8gHk3CK"
        "iPhQT7YGHHBGXD/AkEDSBTYfJfr3vy47MfpE6IgYVhO1RDIUwiJTWvOJXBo5vdoztcwKPbwKPbncOnW+gzvwAbvz5rKFCFTzeHR7eDhE+3hEd3"
        "BUcZp+GBThZVUDgYnjS85GN5q9bAt5el0/AAf/gBD8sftSKfHfkFeBo+80fytHn8P/CZP+Lg6+dAMUGWSR6MPz3+H3p92vDA4VOfPAsZRsEoGA"
        "WjYBSMglEwCkbBKBgFo2AUwMHXf//zQXQEtN8G6xtvgPJhfdAGKJ8LymeH0txQWoJO7nV3drZS0HBJTcpMzFMwNNIz0jPQNTTRTklNMjQqNdSE"
        "CjEw6BVnFJcUlSQmMeil55XqZSQWZzDopVTmFVfmQuiSIga9ktSKEga9ovyUxJJEBr3UjPi0osTcVLB8Ym5mMoNecn5ubmpeCRXcDQqnb///58"
        "OGFWDhDaNVkPrhyOMAMCAKNYMJLT5gtAF8PATSF+dAixdZqBwTWvzCaHYs/XlkoIo6NgDv52P093Ho14aPEUCABhMqzYKmngWNNobqZ8I1ToMG"
        "0MPPFup2Zga0cRF+1PEQZjT9sHEVN6j9BjgGXtRx+B+ZZsbiTnWofn8C4QcAxDx4cg=="
    )
)
"""`compiled.so`, from dense.c beside this file."""

_PARAMETERS, _ARRAY, _FLOAT = 0xF7E58D4F05049CB7, 0xDD5E40F096B4A13F, 2


def files(weights: np.ndarray[Any, Any]) -> dict[str, bytes]:
    """The files of the folder; x: (1, columns), y: (1, rows), float32."""
    rows, columns = weights.shape
    graph = {
        "nodes": [
            {"op": "null", "name": "x", "inputs": []},
            {"op": "null", "name": "w", "inputs": []},
            {
                "op": "tvm_op",
                "name": "dense",
                "inputs": [[0, 0, 0], [1, 0, 0]],
                "attrs": {"func_name": "dense", "flatten_data": "0", "num_inputs": "2", "num_outputs": "1"},
            },
        ],
        "arg_nodes": [0, 1],
        "heads": [[2, 0, 0]],
        "attrs": {
            "dltype": ["list_str", ["float32"] * 3],
            "shape": ["list_shape", [[1, columns], [rows, columns], [1, rows]]],
            "storage_id": ["list_int", [0, 1, 2]],
        },
        "node_row_ptr": [0, 1, 2, 3],
    }
    data = np.ascontiguousarray(weights, np.float32).tobytes()
    parameters = (
        struct.pack("<QQQQ1sQ", _PARAMETERS, 0, 1, 1, b"w", 1)
        + struct.pack("<QQiiiBBH", _ARRAY, 0, 1, 0, 2, _FLOAT, 32, 1)
        + struct.pack("<qqq", rows, columns, len(data))
        + data
    )
    return {
        "neo/compiled.so": CODE,
        "neo/compiled_model.json": json.dumps(graph).encode(),
        "neo/compiled.params": parameters,
    }
