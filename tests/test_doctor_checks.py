"""Facts about a repository and its GitLab project, and the advice that they lead to."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.doctor.desk import check_dvc_config, check_pins, check_remote, check_tools
from gitops.doctor.facts import (
    Advice,
    DvcConfigState,
    Level,
    ProjectFacts,
    RemoteState,
    Tools,
    Unread,
)
from gitops.doctor.pins import CiFile, Local, Reference, parse_ci_file
from gitops.doctor.project import check_project
from gitops.errors import InputError
from gitops.flow.examining import find_overridden, find_project
from gitops.forge import Project, ProtectedBranch, ResourceGroup, Role, TokenFacts, Variable

DIGEST = "@sha256:" + "a" * 64
SHA = "b" * 40
TODAY = date(2026, 1, 5)
UNREAD = Unread(reason="403", next="ask with another token")
FACTS = ProjectFacts(
    branch="main",
    today=TODAY,
    project=Project(
        id=1,
        path="team/cars",
        default_branch="main",
        web_url="https://gitlab.example/team/cars",
        fork_pipelines_in_parent=False,
        job_token_may_push=False,
        separated_caches=True,
    ),
    token=TokenFacts(name="bot", scopes=("api",), expires_on=date(2026, 6, 1), is_active=True),
    branches=(
        ProtectedBranch(
            name="main",
            push=(Role.NONE,),
            merge=(Role.MAINTAINER,),
            allows_force_push=False,
            has_exceptions=False,
        ),
    ),
    variables=(
        Variable(
            key="GITOPS_GITLAB_TOKEN",
            is_protected=True,
            is_masked=True,
            is_hidden=False,
            environment="*",
        ),
    ),
    groups=(ResourceGroup(key="production", process_mode="oldest_first"),),
)


def ill(advice: tuple[Advice, ...]) -> dict[str, str]:
    """Return the level of each check that is not well; every one of them has a next step."""
    found = {one.name: one for one in advice if one.level is not Level.OK}
    assert all(one.next for one in found.values())
    return {name: one.level.value for name, one in found.items()}


def test_a_well_kept_project_needs_nothing() -> None:
    assert ill(check_project(FACTS)) == {}


def token(**more: Any) -> ProjectFacts:
    assert isinstance(FACTS.token, TokenFacts)
    return replace(FACTS, token=replace(FACTS.token, **more))


def project(**more: Any) -> ProjectFacts:
    assert isinstance(FACTS.project, Project)
    return replace(FACTS, project=replace(FACTS.project, **more))


def branch(**more: Any) -> ProjectFacts:
    assert not isinstance(FACTS.branches, Unread)
    return replace(FACTS, branches=(replace(FACTS.branches[0], **more),))


def variable(**more: Any) -> ProjectFacts:
    assert not isinstance(FACTS.variables, Unread)
    return replace(FACTS, variables=(replace(FACTS.variables[0], **more),))


@pytest.mark.parametrize(
    ("facts", "name", "level"),
    [
        (token(scopes=("read_api",)), "token", "fail"),
        (token(scopes=()), "token", "fail"),
        (token(is_active=False), "token", "fail"),
        (token(expires_on=TODAY), "token", "fail"),
        (token(expires_on=date(2026, 1, 12)), "token", "warn"),
        (token(expires_on=None), "token", "warn"),
        (token(scopes=("api", "write_repository")), "token", "warn"),
        (replace(FACTS, branches=()), "protected-branch", "fail"),
        (branch(name="release/*"), "protected-branch", "fail"),
        (branch(allows_force_push=True), "protected-branch", "fail"),
        (branch(push=(Role.MAINTAINER, Role.DEVELOPER)), "protected-branch", "warn"),
        (branch(has_exceptions=True), "protected-branch", "warn"),
        (variable(key="AWS_SECRET_ACCESS_KEY", is_protected=False), "variables", "fail"),
        (variable(is_protected=False), "variables", "warn"),
        (variable(is_protected=False, is_masked=False), "variables", "fail"),
        (variable(is_masked=False), "variables", "fail"),
        (project(fork_pipelines_in_parent=True), "fork-pipelines", "fail"),
        (project(fork_pipelines_in_parent=None), "fork-pipelines", "unknown"),
        (project(job_token_may_push=True), "job-token-push", "warn"),
        (project(job_token_may_push=None), "job-token-push", "unknown"),
        (project(separated_caches=False), "separated-caches", "fail"),
        (project(separated_caches=None), "separated-caches", "unknown"),
        (
            replace(FACTS, groups=(ResourceGroup(key="production", process_mode="unordered"),)),
            "release-order",
            "warn",
        ),
        (replace(FACTS, groups=()), "release-order", "unknown"),
    ],
)
def test_each_weakness_of_a_project_is_named(facts: ProjectFacts, name: str, level: str) -> None:
    assert ill(check_project(facts)) == {name: level}


@pytest.mark.parametrize("pattern", ["main", "m*", "*"])
def test_a_pattern_protects_the_branches_that_it_matches(pattern: str) -> None:
    assert ill(check_project(branch(name=pattern))) == {}


def test_a_hidden_variable_and_one_that_holds_no_secret_are_well() -> None:
    assert ill(check_project(variable(is_masked=False, is_hidden=True))) == {}
    assert ill(check_project(variable(key="REGION", is_protected=False, is_masked=False))) == {}


def test_what_could_not_be_read_is_never_well() -> None:
    nothing = ProjectFacts(
        branch="main",
        today=TODAY,
        project=UNREAD,
        token=UNREAD,
        branches=UNREAD,
        variables=UNREAD,
        groups=UNREAD,
    )
    advice = check_project(nothing)
    assert {one.level for one in advice} == {Level.UNKNOWN}
    assert [one.name for one in advice] == [one.name for one in check_project(FACTS)]


@pytest.mark.parametrize("git", [None, (2, 20)])
def test_a_runner_without_a_fit_git_is_named(git: tuple[int, ...] | None) -> None:
    assert check_tools(Tools(python=(3, 11), git=git)).level is Level.FAIL
    assert check_tools(Tools(python=(3, 11), git=(2, 39))).level is Level.OK


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (RemoteState(address="r", pointers=1), Level.OK),
        (RemoteState(address="r", pointers=1, missing=("data/cars.csv",)), Level.FAIL),
        (RemoteState(address="r", problem="no answer"), Level.FAIL),
        (RemoteState(address="r"), Level.UNKNOWN),
        (UNREAD, Level.UNKNOWN),
    ],
)
def test_a_remote_is_well_when_it_has_the_data(state: RemoteState | Unread, level: Level) -> None:
    assert check_remote(state).level is level


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (DvcConfigState(tracked_local=False, changed=False), Level.OK),
        (DvcConfigState(tracked_local=True, changed=False), Level.FAIL),
        (DvcConfigState(tracked_local=False, changed=True), Level.WARN),
        (DvcConfigState(tracked_local=False, changed=False, overridden=("x",)), Level.WARN),
        (UNREAD, Level.UNKNOWN),
    ],
)
def test_an_overridden_dvc_config_is_named(state: DvcConfigState | Unread, level: Level) -> None:
    assert check_dvc_config(state).level is level


def test_credentials_of_ones_own_are_no_override() -> None:
    committed = "[core]\nremote = r\n['remote \"r\"']\nurl = s3://a\n"
    own = "['remote \"r\"']\naccess_key_id = x\nurl = s3://a\n['remote \"mine\"']\nurl = /tmp\n"
    assert find_overridden(committed, own) == []
    assert find_overridden(committed, "['remote \"r\"']\nurl = s3://b\n") == ["remote r: url"]
    assert find_overridden(committed, "[core]\nremote = mine\n") == ["core: remote"]


CI = f"""\
spec:
  inputs:
    image: {{default: "python{DIGEST}"}}
    tool: {{default: "tool:latest"}}
---
include:
  - local: /ci/gate.yml
  - ci/more.yml
  - https://example.org/loose.yml
  - {{remote: "https://example.org/firm.yml", integrity: sha256-abc}}
  - {{project: team/ci, ref: main, file: a.yml}}
  - {{project: team/ci, file: b.yml}}
  - {{project: team/ci, ref: {SHA}, file: c.yml}}
  - {{component: "$CI_SERVER_FQDN/team/comp@1.0.0"}}
  - {{component: "$CI_SERVER_FQDN/team/comp@{SHA}"}}
  - {{component: "$CI_SERVER_FQDN/team/own@$CI_COMMIT_SHA"}}
  - {{template: Jobs/SAST.gitlab-ci.yml}}
variables:
  PINNED: "python{DIGEST}"
  LOOSE: {{value: "python:3.11"}}
default: {{image: $PINNED}}
one: {{image: "$LOOSE", services: ["postgres:16", {{name: "redis{DIGEST}"}}]}}
two: {{image: {{name: "$[[ inputs.image ]]"}}}}
three: {{image: "$[[ inputs.tool ]]"}}
four: {{image: !reference [one, image], script: [!reference [one, script]]}}
five: {{image: $ELSEWHERE}}
six: {{image: "registry.example/tool:$TAG"}}
seven: {{trigger: {{include: [{{artifact: child.yml, job: one}}, {{project: team/ci, ref: v1, file: d}}]}}}}
"""


def read(content: bytes, path: str, **inputs: str) -> CiFile:
    return parse_ci_file(content, Local(path=path, inputs=tuple(inputs.items())))


def pins(text: str) -> dict[bool | None, list[str]]:
    found: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    for reference in read(text.encode(), ".gitlab-ci.yml").references:
        found[reference.pinned].append(reference.name)
    return found


def test_whatever_may_change_without_a_commit_is_found() -> None:
    found = pins(CI)
    assert found[False] == [
        "$LOOSE",
        "postgres:16",
        "$[[ inputs.tool ]]",
        "registry.example/tool:$TAG",
        "https://example.org/loose.yml",
        "team/ci",
        "team/ci",
        "$CI_SERVER_FQDN/team/comp@1.0.0",
        "team/ci",
    ]
    assert found[None] == ["$ELSEWHERE"]
    assert len(found[True]) == 7
    assert read(CI.encode(), "x").local == (
        Local(path="ci/gate.yml"),
        Local(path="ci/more.yml"),
    )


def test_a_variable_with_two_values_hides_what_it_is() -> None:
    text = f'a: {{variables: {{I: "x{DIGEST}"}}, image: $I}}\nb: {{variables: {{I: "x:1"}}}}\n'
    assert pins(text)[None] == ["$I"]


def test_an_image_that_is_handed_on_to_a_template_counts() -> None:
    text = f"""\
include:
  - {{local: ci/a.yml, inputs: {{image: $TOOL, tags: [x]}}}}
  - {{project: team/ci, ref: {SHA}, file: b.yml, inputs: {{image: "tool:latest", model: x}}}}
variables: {{TOOL: "tool{DIGEST}"}}
"""
    assert pins(text)[False] == ["tool:latest"]
    assert read(text.encode(), "x").local == (
        Local(path="ci/a.yml", inputs=(("image", f"tool{DIGEST}"),)),
    )


@pytest.mark.parametrize(
    ("given", "pinned"), [({}, False), ({"image": f"t{DIGEST}"}, True), ({"image": "$X"}, None)]
)
def test_a_template_is_judged_with_the_inputs_it_is_given(
    given: dict[str, str], pinned: bool | None
) -> None:
    """A variable of the same name is something else."""
    text = b"spec: {inputs: {image: {default: t}}}\n---\na: {image: '$[[ inputs.image ]]'}\n"
    text += b"b: {variables: {image: other}}\n"
    [found] = read(text, "x", **given).references
    assert found.pinned is pinned


def test_advice_on_pins_names_file_and_line() -> None:
    references = read(b"a:\n  image: python:3\n", "ci/a.yml").references
    images, includes = check_pins(references)
    assert (images.level, includes.level) == (Level.WARN, Level.OK)
    assert "python:3 (ci/a.yml:2)" in images.says


def test_without_any_image_the_runner_decides() -> None:
    assert check_pins(())[0].level is Level.WARN
    assert {one.level for one in check_pins(UNREAD)} == {Level.UNKNOWN}


def test_a_bomb_of_aliases_costs_nothing() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert read("\n".join(lines).encode(), "x").references == ()


@pytest.mark.parametrize(
    "content", [b"a: [", b"\xff", b"[" * 5000, b"x: y\n" * 300_000, b"&a [*a, *b]", b"a: \x00"]
)
def test_a_ci_file_that_cannot_be_read_is_refused(content: bytes) -> None:
    with pytest.raises(InputError):
        read(content, "x")


@given(st.binary(max_size=200) | st.text("abc:[]{}&*!-\n $@", max_size=200).map(str.encode))
def test_any_ci_file_is_read_or_refused(content: bytes) -> None:
    try:
        found = read(content, "x").references
    except InputError:
        return
    assert all(isinstance(one, Reference) for one in found)


@pytest.mark.parametrize(
    ("origin", "path"),
    [
        ("git@gitlab.example:team/cars.git", "team/cars"),
        ("ssh://git@gitlab.example:2222/team/sub/cars.git", "team/sub/cars"),
        ("https://user:pass@gitlab.example/team/cars", "team/cars"),
        ("https://github.com/team/cars.git", ""),
        ("git@gitlab.example.evil.org:team/cars.git", ""),
        ("/srv/cars.git", ""),
    ],
)
def test_the_project_is_origins_only_on_the_same_gitlab(origin: str, path: str) -> None:
    assert find_project(origin, "https://gitlab.example") == path
