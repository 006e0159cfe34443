"""Results come in under the digest of what they depend on; the same bytes come out again, whole or not at all.

They lie in a folder, or on an object store with a folder as its cache. There is a prefix per zone:
what unmerged code wrote is never found by a protected run.
"""

from __future__ import annotations

from gitops.adapters.store.folders import Store, copy_plain, local_folder, open_store
from gitops.adapters.store.objects import Limits, ObjectStore

__all__ = ["Limits", "ObjectStore", "Store", "copy_plain", "local_folder", "open_store"]
