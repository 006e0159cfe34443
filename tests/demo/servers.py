"""The folder of a demo comes in; the servers that its rollouts started are stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.adapters.local_server import open_service

if TYPE_CHECKING:
    from pathlib import Path


def stop_servers(folder: Path) -> None:
    """Stop what this demo, or one that was killed before it, left running below `folder`."""
    for place in sorted(folder.glob("*/.gitops/serve/*")):
        if place.is_dir():
            with open_service(place, place.name, {}) as service:
                service.stop_everything()
