"""Names of commits and files come in; what Git holds under them, read without trust, goes out."""

from gitops.adapters.git.checkout import create_checkout
from gitops.adapters.git.repository import GitRepository, Tag, TreeEntry

__all__ = ["GitRepository", "Tag", "TreeEntry", "create_checkout"]
