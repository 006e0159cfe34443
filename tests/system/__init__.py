"""Whole pipelines, run job by job by gitlab-ci-local in a shell, against the fake GitLab."""
