"""The simulated conveyor: addressable, seeded, and neither trivial nor hidden."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.sim.conveyor import DEFECTS, Camera, Conveyor, truth


def test_any_part_can_be_drawn_again() -> None:
    one, other = Camera(Conveyor("gate", 7)), Camera(Conveyor("gate", 7))
    images = [one.image(k) for k in (5, 0, 99)]
    assert all((other.image(k) == image).all() for k, image in zip((99, 0, 5), reversed(images), strict=True))
    assert images[0].shape == (240, 320, 3)
    assert images[0].dtype == np.uint8
    assert not (Camera(Conveyor("gate", 8)).image(5) == images[0]).all()
    assert not (Camera(Conveyor("exit", 7)).image(5) == images[0]).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.1, 200), st.integers(0, 10**6))
def test_parts_come_in_order(seed: int, rate: float, part: int) -> None:
    belt = Conveyor("gate", seed, rate=rate)
    assert belt.due(part) < belt.due(part + 1)
    assert belt.count(belt.due(part)) == part
    assert belt.count(belt.due(part) + 1) == part + 1


def test_the_share_and_the_kinds_of_defects_are_as_said() -> None:
    camera = Camera(Conveyor("gate", 3, defective=0.3))
    parts = [camera.part(k) for k in range(600)]
    bad = [p for p in parts if p.defects]
    assert 0.24 < len(bad) / len(parts) < 0.36
    assert {d.kind for p in bad for d in p.defects} == set(DEFECTS)
    assert all(p.kind == "good" for p in parts if not p.defects)
    assert all(0.3 <= d.severity <= 1 for p in bad for d in p.defects)
    assert not any(p.defects for p in map(Camera(Conveyor("gate", 3, defective=0.0)).part, range(200)))


@pytest.mark.parametrize("kind", DEFECTS)
def test_a_defect_changes_the_image_where_the_mask_says(kind: str) -> None:
    """The same plate without it differs there, and hardly elsewhere."""
    camera = Camera(Conveyor("gate", 11, defective=1.0))
    part = next(p for p in map(camera.part, range(400)) if [d.kind for d in p.defects] == [kind])
    mask = camera.mask(part.id) == 1 + DEFECTS.index(part.defects[0].kind)
    assert 10 < mask.sum() < 0.1 * mask.size
    image = camera.image(part.id).astype(float).mean(axis=2)
    ring = np.zeros_like(mask)
    y, x = np.argwhere(mask).mean(axis=0).astype(int)
    ring[max(0, y - 45) : y + 45, max(0, x - 45) : x + 45] = True
    inside, around = image[mask], image[ring & ~mask]
    assert abs(inside.mean() - around.mean()) + inside.std() > 0.03 * around.mean()


def test_the_light_changes_but_shows_the_plate() -> None:
    camera = Camera(Conveyor("gate", 5, rate=5))
    levels = [camera.image(k).mean() for k in range(0, 9000, 300)]
    assert max(levels) > 1.3 * min(levels)
    assert min(levels) > 20
    assert max(np.mean(camera.image(k) == 255) for k in range(0, 9000, 1500)) < 0.3


def test_the_truth_names_the_part_and_what_is_wrong_with_it() -> None:
    camera = Camera(Conveyor("gate", 11, defective=1.0))
    document = truth(camera.part(4), "gate", "ab-4", 17)
    assert document["part"] == "ab-4"
    assert document["label"] in DEFECTS
    assert {d["kind"] for d in document["defects"]} <= set(DEFECTS)
