"""A candidate on its way into the store: checked and tried as any package, never active, never in the way."""

from __future__ import annotations

from typing import Any

from edgeloop.models import shadow, store


def here(site: Any) -> shadow.Shadow | None:
    return shadow.read(store.directory(site.root, "linear"))


def test_a_candidate_comes_stays_and_goes(site: Any, make: Any) -> None:
    path, first = make(0.0, version="1.0.0")
    candidate, second = make(1.0, version="1.1.0")
    wish = {"uri": f"file:{candidate}", "digest": second, "share": 0.5}
    site.want(path, first, shadow=wish)
    site.updates.advance()
    found = here(site)
    assert found is not None
    assert (found.digest, found.version, found.share) == (second, "1.1.0", 0.5)
    assert site.pointer.active.digest == first
    site.again()
    site.want(path, first, shadow={**wish, "share": 0.1})
    site.updates.advance()
    assert here(site).share == 0.1
    assert (store.directory(site.root, "linear") / second).is_dir()
    site.want(path, first)
    site.updates.advance()
    assert here(site) is None
    assert not (store.directory(site.root, "linear") / second).exists()
    assert site.pointer.active.digest == first


def test_a_bad_candidate_is_refused_and_the_model_serves(site: Any, make: Any) -> None:
    path, first = make(0.0, version="1.0.0")
    bad, digest = make(1.0, says=2.0, version="1.1.0")
    site.want(path, first, shadow={"uri": f"file:{bad}", "digest": digest})
    site.updates.advance()
    assert here(site) is None
    assert site.pointer.active.digest == first
    assert f"the candidate {digest[:12]} is refused" in site.health.problems["model.linear.shadow"]
    assert site.problem == ""
