"""What a test switches on comes in; whether this request or reconciliation goes wrong goes out."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Faults:
    """Everything that can go wrong; all of it is off until a test says otherwise.

    Attributes:
        stuck: workloads created from now on do not become ready while it is set.
        failed_load: workloads created from now on die while loading.
        frozen: the controller does nothing.
        unauthorized: 401 for everyone until the token is renewed.
        flap: reconciliations left, every other of which says that nothing is ready.
        flap_seconds: between two of them.
        conflict: PATCHes left that answer 409 and change nothing.
        server_errors: API requests left that answer 503.
        lost_replies: PATCHes left that are carried out and never answered.
        crash: requests that a revision still answers before its server dies.
        errors: share of the requests to a revision that the gateway answers with 500.
        slow: seconds that each request to a revision is delayed.
        epoch: counts up with each `drop_watches`.
    """

    stuck: bool = False
    failed_load: bool = False
    frozen: bool = False
    unauthorized: bool = False
    flap: int = 0
    flap_seconds: float = 0.025
    conflict: int = 0
    server_errors: int = 0
    lost_replies: int = 0
    crash: dict[str, int] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    epoch: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _owed: dict[str, float] = field(default_factory=dict)

    def take(self, name: str) -> bool:
        """Use up one of a counted fault; False when none is left."""
        with self._lock:
            left: int = getattr(self, name)
            if left > 0:
                setattr(self, name, left - 1)
            return left > 0

    def take_crash(self, names: tuple[str, ...]) -> bool:
        """Count a request to a workload known by these names; True when its server dies instead."""
        with self._lock:
            for name in names:
                if name in self.crash:
                    self.crash[name] -= 1
                    return self.crash[name] < 0
            return False

    def take_error(self, names: tuple[str, ...]) -> bool:
        """Spread the errors of a workload evenly over its requests."""
        with self._lock:
            for name in names:
                if name in self.errors:
                    owed = self._owed.get(name, 0.0) + self.errors[name]
                    failed = owed > 1 - 1e-9
                    self._owed[name] = owed - failed
                    return failed
            return False

    def read_delay(self, names: tuple[str, ...]) -> float:
        """Return the seconds by which a request to this workload is late."""
        return next((self.slow[name] for name in names if name in self.slow), 0.0)

    def drop_watches(self) -> None:
        """Close every open watch without a goodbye."""
        self.epoch += 1
