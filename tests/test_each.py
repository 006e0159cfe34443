"""Several models in one command: each gets its turn, and the worst outcome is the command's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.commands.each import find_worst, for_each
from gitops.errors import ExitCode, InputError, OutsideError

CODES = st.sampled_from([0, 1, 2, 4, 5])


def test_one_model_that_fails_does_not_keep_the_others_from_theirs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = []

    def work(model: str) -> int:
        done.append(model)
        if model == "fuel":
            raise OutsideError("the remote is away", where="s3://cars", hint="try again")
        return ExitCode.DONE

    assert for_each(["fuel", "water"], work) == ExitCode.OUTSIDE_WORLD
    assert done == ["fuel", "water"]
    assert "error: fuel: s3://cars: the remote is away\nhint: try again" in capsys.readouterr().err


def test_the_error_of_a_single_model_is_the_commands() -> None:
    def work(model: str) -> int:
        raise InputError("no")

    with pytest.raises(InputError):
        for_each(["fuel"], work)


def test_without_models_there_is_nothing_to_do() -> None:
    assert for_each([], lambda _: ExitCode.GATE_SAID_NO) == ExitCode.DONE


@given(st.lists(CODES, min_size=1))
def test_only_success_everywhere_is_success(codes: list[int]) -> None:
    worst = find_worst(codes)
    assert worst in codes
    assert (worst == 0) == (set(codes) == {0})


@given(st.lists(CODES))
def test_a_no_is_never_softened_by_what_a_person_may_decide(codes: list[int]) -> None:
    assert find_worst([*codes, ExitCode.GATE_SAID_NO]) not in (
        ExitCode.DONE,
        ExitCode.UNDECIDED,
        ExitCode.OUTSIDE_WORLD,
    )
