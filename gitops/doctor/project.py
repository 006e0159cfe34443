"""Facts about a GitLab project come in; advice on its settings goes out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from operator import attrgetter

from gitops.doctor.facts import (
    Advice,
    Level,
    ProjectFacts,
    Unread,
    make_failure,
    make_ok,
    make_unknown,
    make_warning,
)
from gitops.forge import Project, ProtectedBranch, ResourceGroup, Role, Variable

# Jobs of merge requests need it, and they never see what is protected.
NOTE_TOKEN = "GITOPS_GITLAB_TOKEN"  # noqa: S105 - the name of a variable
EXPIRY_NOTICE = timedelta(days=14)
# Scopes that notes, statuses and pipelines never need.
EXCESS = {"sudo", "admin_mode", "write_repository", "create_runner", "manage_runner", "k8s_proxy"}

_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|_KEY|KUBECONFIG", re.IGNORECASE)
_LEAST = "a project access token with the scope api alone"
_CI_SETTINGS = "Settings > CI/CD"
_NOT_SAID = "an older GitLab, or a token of less than a maintainer, does not tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Switch:
    """A setting that is on or off, and what a wrong one leads to."""

    name: str
    read: Callable[[Project], bool | None]
    wanted: bool
    level: Level
    says: str
    step: str


_SWITCHES = (
    _Switch(
        name="fork-pipelines",
        read=attrgetter("fork_pipelines_in_parent"),
        wanted=False,
        level=Level.FAIL,
        says="a fork's code can run with this project's variables, by a click or by /rebase",
        step=f"{_CI_SETTINGS} > General pipelines: no pipelines of forks in the parent project",
    ),
    _Switch(
        name="job-token-push",
        read=attrgetter("job_token_may_push"),
        wanted=False,
        level=Level.WARN,
        says="every job, also of a merge request, may push with the rights of whoever started it",
        step=f"{_CI_SETTINGS} > Job token permissions: no push; releases push with a protected token",
    ),
    _Switch(
        name="separated-caches",
        read=attrgetter("separated_caches"),
        wanted=True,
        level=Level.FAIL,
        says="a merge request can poison the cache of protected branches",
        step=f"{_CI_SETTINGS} > General pipelines: separate caches for protected branches",
    ),
)


def check_project(facts: ProjectFacts) -> tuple[Advice, ...]:
    """Check all that GitLab told; what it did not tell is unknown, never well."""
    return (
        _check_token(facts),
        _check_branch(facts),
        _check_variables(facts),
        *_check_switches(facts.project),
        _check_order(facts.groups),
    )


def _check_token(facts: ProjectFacts) -> Advice:
    name, token = "token", facts.token
    if isinstance(token, Unread):
        return make_unknown(name, token)
    if not token.is_active or (token.expires_on and token.expires_on <= facts.today):
        return make_failure(name, "the token is no longer valid", f"make a new one: {_LEAST}")
    if "api" not in token.scopes:
        says = f"its scopes ({', '.join(token.scopes) or 'none'}) cannot write notes and statuses"
        return make_failure(name, says, f"make {_LEAST}")
    if excess := sorted(EXCESS.intersection(token.scopes)):
        return make_warning(
            name, f"it may more than it needs: {', '.join(excess)}", f"make {_LEAST}"
        )
    return _check_expiry(name, token.expires_on, facts.today)


def _check_expiry(name: str, end: date | None, today: date) -> Advice:
    if end is None:
        return make_warning(name, "it never expires", "give it an end, and renew it in time")
    if end - today <= EXPIRY_NOTICE:
        return make_warning(name, f"it expires on {end}", "rotate it before that day")
    return make_ok(name, f"scope api, until {end}")


def _check_branch(facts: ProjectFacts) -> Advice:
    name, branch = "protected-branch", facts.branch
    if isinstance(facts.branches, Unread):
        return make_unknown(name, facts.branches)
    rules = [rule for rule in facts.branches if fnmatchcase(branch, rule.name)]
    step = f"Settings > Repository > Protected branches: {branch}"
    if not rules:
        return make_failure(name, f"{branch} is not protected, so anybody may release", step)
    if any(rule.allows_force_push for rule in rules):
        return make_failure(name, f"{branch} may be force-pushed, which loses releases", step)
    if says := _explain_pushers(branch, rules):
        return make_warning(name, says, step)
    return make_ok(
        name, f"{branch} is protected; nobody below maintainer pushes past a merge request"
    )


def _explain_pushers(branch: str, rules: list[ProtectedBranch]) -> str:
    # Where several patterns match, GitLab grants what any of them grants.
    pushers = [role for rule in rules for role in rule.push if role is not Role.NONE]
    if pushers and min(pushers) < Role.MAINTAINER:
        return f"{min(pushers).name.lower()}s may push to {branch} without a merge request"
    if any(rule.has_exceptions for rule in rules):
        return f"single users, groups or deploy keys may push to {branch}: make sure you know them"
    return ""


def _check_variables(facts: ProjectFacts) -> Advice:
    name = "variables"
    if isinstance(facts.variables, Unread):
        return make_unknown(name, facts.variables)
    secret = [found for found in facts.variables if _SECRET.search(found.key)]
    step = f"{_CI_SETTINGS} > Variables"
    bare = [found for found in secret if not found.is_protected and found.key != NOTE_TOKEN]
    if bare:
        says = f"code of any branch can read {_name(bare)}"
        return make_failure(name, says, f"{step}: protect, or keep out of the project")
    if shown := [found for found in secret if not (found.is_masked or found.is_hidden)]:
        return make_failure(name, f"job logs would show {_name(shown)}", f"{step}: mask")
    if not all(found.is_protected for found in secret):
        says = f"code of any branch can read {NOTE_TOKEN}, and write notes and statuses with it"
        return make_warning(
            name, says, "let its owner be a Developer and no more, or `gitops listen`"
        )
    return make_ok(name, f"{len(secret)} that look secret, all protected and masked")


def _check_switches(project: Project | Unread) -> tuple[Advice, ...]:
    if isinstance(project, Unread):
        return tuple(make_unknown(switch.name, project) for switch in _SWITCHES)
    return tuple(_check_switch(switch, switch.read(project)) for switch in _SWITCHES)


def _check_switch(switch: _Switch, value: bool | None) -> Advice:  # noqa: FBT001 - it is the fact
    if value is None:
        return make_unknown(switch.name, Unread(reason=_NOT_SAID, next=switch.step))
    if value is switch.wanted:
        return make_ok(switch.name, f"{'on' if value else 'off'}, as it should be")
    return Advice(name=switch.name, level=switch.level, says=switch.says, next=switch.step)


def _check_order(groups: tuple[ResourceGroup, ...] | Unread) -> Advice:
    name = "release-order"
    if isinstance(groups, Unread):
        return make_unknown(name, groups)
    if not groups:
        says = "no resource group yet: GitLab makes it with the first release"
        return make_unknown(
            name, Unread(reason=says, next="run gitops doctor again after a release")
        )
    loose = [group.key for group in groups if group.process_mode == "unordered"]
    if loose:
        step = (
            f"glab api -X PUT projects/:id/resource_groups/{loose[0]} -f process_mode=oldest_first"
        )
        return make_warning(name, f"waiting jobs of {', '.join(loose)} run in any order", step)
    return make_ok(name, "waiting releases run in order")


def _name(variables: list[Variable]) -> str:
    return ", ".join(variable.key for variable in variables)
