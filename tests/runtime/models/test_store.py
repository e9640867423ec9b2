from __future__ import annotations

from pathlib import Path

import pytest

from edgeloop.models import ModelError, store
from edgeloop.models.store import Ref, Shelf

A, B, C = (Ref(digest=letter * 64, version=f"1.0.{n}") for n, letter in enumerate("abc"))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(store.directory(tmp_path, "m"), "m")


def test_activation_commit_and_the_way_back(shelf: Shelf) -> None:
    assert store.read(shelf.folder) is None
    shelf.activate(A, 1)
    shelf.commit(2)
    pointer = shelf.activate(B, 3)
    assert (pointer.generation, pointer.active, pointer.previous, pointer.state) == (2, B, A, "probation")
    assert store.read(shelf.folder) == pointer == Shelf(shelf.folder, "m").pointer
    back = shelf.roll_back(4)
    assert (back.generation, back.active, back.previous, back.state) == (3, A, None, "rolled_back")
    assert shelf.activate(None, 5).active is None


def test_a_model_on_probation_is_nothing_to_go_back_to(shelf: Shelf) -> None:
    shelf.activate(A, 1)
    assert shelf.pointer is not None
    assert shelf.pointer.previous is None
    assert shelf.activate(B, 2).previous is None, "A was never committed"
    shelf.commit(3)
    shelf.activate(C, 4)
    assert shelf.activate(A, 5).previous == B
    assert shelf.activate(A, 6).previous == B, "the same again"


def test_a_damaged_pointer_is_one_line_and_written_anew(shelf: Shelf) -> None:
    (shelf.folder / store.POINTER).write_text("{")
    with pytest.raises(ModelError, match="the model store's pointer is damaged"):
        store.read(shelf.folder)
    again = Shelf(shelf.folder, "m")
    assert "damaged" in again.damage
    again.activate(A, 1)
    assert store.read(shelf.folder) == again.pointer


def test_only_what_is_needed_is_kept(shelf: Shelf) -> None:
    for name in (A.digest, B.digest, C.digest, ".123.x.new"):
        (shelf.folder / name).mkdir()
    shelf.activate(A, 1)
    shelf.commit(2)
    shelf.activate(B, 3)
    assert sorted(shelf.prune(set())) == [".123.x.new", C.digest]
    assert {path.name for path in shelf.folder.iterdir()} == {A.digest, B.digest, store.POINTER}
