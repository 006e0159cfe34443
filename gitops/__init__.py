"""GitOps CI/CD for machine-learning repositories: from a changed data pointer to a served model."""

__version__ = "0.1.0"
