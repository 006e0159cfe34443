"""A plan and the variables of the plan job come in; the child pipeline that carries it out is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gitops
from gitops.adapters import documents
from gitops.child import PRODUCTION, REVIEW, Jobs, render_production, render_review
from gitops.config import Zone
from gitops.errors import InputError
from gitops.flow.workspace import Workspace
from gitops.plan import Plan

_LIMIT = 1 << 16


def write_child(workspace: Workspace, plan: Plan, environ: Mapping[str, str], path: Path) -> bool:
    """Write the child pipeline: production on a protected branch, the review of a change elsewhere.

    Return whether it tells a merge request what is refused, and fails for that.
    """
    jobs, templates = read_jobs(environ), read_templates()
    is_review = workspace.request.zone is not Zone.PROTECTED
    text = render_review(plan, templates, jobs) if is_review else render_production(templates, jobs)
    documents.write_file(path, text)
    return is_review


def read_jobs(environ: Mapping[str, str]) -> Jobs:
    """Read what the plan job's template was given for all jobs.

    Raises:
        InputError: the image or the tags are not as ci/plan.yml sets them.
    """
    name = "GITOPS_JOBS_IMAGE"
    image = environ.get(name, "")
    if not image:
        raise InputError(f"{name} is not set", hint="ci/plan.yml sets it; gitops plan needs none")
    return Jobs(
        image=image,
        tags=_parse_tags(environ.get("GITOPS_JOBS_TAGS", "")),
        prefix=environ.get("GITOPS_JOBS_PREFIX") or "gitops",
    )


def _parse_tags(text: str) -> tuple[str, ...]:
    if len(text) > _LIMIT:
        raise InputError("too long to be a list of tags", where="GITOPS_JOBS_TAGS")
    tags = documents.parse_json(text, "GITOPS_JOBS_TAGS") if text.strip() else []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InputError("not a list of runner tags", where="GITOPS_JOBS_TAGS")
    return tuple(tags)


def read_templates() -> dict[str, str]:
    """Read the templates of the jobs: those of the toolkit itself, never a repository's."""
    package = Path(gitops.__file__).parent
    # A wheel carries them inside the package; a checkout has them beside it.
    folder = package / "ci" if (package / "ci").is_dir() else package.parent / "ci"
    stages = (*REVIEW, *PRODUCTION)
    return {stage: (folder / f"{stage}.yml").read_text("utf-8") for stage in stages}
