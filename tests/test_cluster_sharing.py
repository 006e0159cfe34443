"""Several repositories on one cluster: what belongs to one is not touched by another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gitops.adapters.kserve import ask_identity
from gitops.engines import KserveMode
from gitops.errors import RefusedError
from gitops.inference import Origin, render_service
from gitops.rollout import make_identity
from tests.cluster_kit import Bench, Made, Place, make_bundle, make_release, open_place

OTHERS = Origin(host="gitlab.example.org", project="team/boats")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_bundle(tmp_path_factory.mktemp("bundle"), -0.01)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Iterator[Place]:
    with open_place(tmp_path_factory.mktemp("place")) as place:
        for version in ("v1.0.0", "v1.1.0"):
            place.pods.add(make_release(version, made.digest), made)
        yield place


@pytest.mark.parametrize("mode", list(KserveMode))
def test_a_service_of_another_repository_is_not_replaced(
    place: Place, made: Made, mode: KserveMode
) -> None:
    bench = Bench(place=place, mode=mode, name=f"shared-{mode}")
    ours = make_release("v1.0.0", made.digest)
    bench.turn(ours, made).run()
    steps = list(bench.steps)

    theirs = make_release("v1.1.0", made.digest)
    turn = bench.turn(theirs, made)
    turn = replace(turn, rendered=render_service(bench.model, bench.kserve(), theirs, OTHERS))
    with pytest.raises(RefusedError, match=r"gitlab\.example\.org/team/cars serves") as error:
        turn.run()
    assert "serve.name" in error.value.hint
    assert not turn.is_changed
    assert bench.steps == steps
    endpoint = bench.service().open_url(bench.live().url)
    assert ask_identity(endpoint, bench.name) == make_identity(ours)
