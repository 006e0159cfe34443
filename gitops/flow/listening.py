"""Deliveries from GitLab come in; one pipeline of the gate for each new head of a merge request goes out.

A delivery is only a hint: it says where to look. Whether anything is started, and for which commit,
is decided from what GitLab says when it is asked.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from gitops import log
from gitops.adapters import gitlab
from gitops.adapters.hook_server import Reply
from gitops.errors import GitopsError, InputError, OutsideError
from gitops.forge import CommitStatus, MergeRequest, StatusState
from gitops.webhook import (
    Decision,
    Delivery,
    Hint,
    Memory,
    Novelty,
    Secrets,
    decide,
    parse_hint,
    verify,
)

MOST_WAITING = 1_000
MOST_REMEMBERED = 20_000
ATTEMPTS = 3
RETRY_SECONDS = 10.0
DRAIN_SECONDS = 15.0

_SEEN = Reply(status=200, says="seen before")
_FULL = Reply(status=429, says="too many events: send this one again later")


class Inbox:
    """Takes deliveries from any thread; keeps each merge request once until somebody looks at it.

    Args:
        secrets: what senders must know.
        projects: ids of the projects whose merge requests are looked at.
        now: returns seconds since 1970.
        waiting: how many merge requests may wait.
    """

    def __init__(
        self,
        secrets: Secrets,
        projects: frozenset[int],
        now: Callable[[], float],
        *,
        waiting: int = MOST_WAITING,
    ) -> None:
        self._secrets = secrets
        self._projects = projects
        self._now = now
        self._most = waiting
        self._memory = Memory(MOST_REMEMBERED)
        self._hints: OrderedDict[Hint, None] = OrderedDict()
        self._change = threading.Condition()

    def __len__(self) -> int:
        return len(self._hints)

    def receive(self, delivery: Delivery) -> Reply:
        """Check a delivery and keep its hint; return what to tell the sender."""
        try:
            verify(delivery, self._secrets, self._now())
        except InputError as error:
            log.say(f"refused: {error.what}")
            return Reply(status=401, says=error.what)
        try:
            hint = parse_hint(delivery.body)
        except InputError as error:
            return Reply(status=400, says=error.what)
        if hint is None:
            return Reply(status=200, says="nothing to do for this kind of event")
        if hint.project not in self._projects:
            return Reply(status=400, says=f"project {hint.project} is not listened to")
        return self._keep(hint, delivery.id)

    def take(self, seconds: float) -> Hint | None:
        """Return the hint that has waited longest; None when none comes within the time."""
        with self._change:
            self._change.wait_for(lambda: self._hints, seconds)
            return self._hints.popitem(last=False)[0] if self._hints else None

    def _keep(self, hint: Hint, name: str) -> Reply:
        with self._change:
            novelty = self._memory.look(name, self._now())
            if novelty is Novelty.SEEN:
                return _SEEN
            is_full = len(self._hints) >= self._most and hint not in self._hints
            if novelty is Novelty.FULL or is_full:
                return _FULL
            # Only what is kept is remembered: GitLab may send again what was turned away.
            self._memory.keep(name, self._now())
            self._hints[hint] = None
            self._change.notify()
        return Reply(status=202, says=f"merge request {hint.iid} will be looked at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Where the gate's pipeline is, and what tells which commits it was started for.

    Attributes:
        project: id or path of the project that holds it.
        ref: branch or tag of that project.
        status: name of the commit status that the pipeline is to finish.
        forks: whether code from forks may run there.
    """

    project: int | str
    ref: str
    status: str = "gitops"
    forks: bool = False


@dataclass(slots=True, kw_only=True)
class Keeper:
    """Looks after merge requests, one at a time.

    Attributes:
        connection: to GitLab; nobody else may use it meanwhile.
        gate: what to start.
    """

    connection: gitlab.Connection
    gate: Gate
    _started: OrderedDict[tuple[int, str], None] = field(default_factory=OrderedDict, init=False)

    def look(self, hint: Hint) -> Decision:
        """Read a merge request anew and start the gate's pipeline if its head has none.

        Raises:
            OutsideError: GitLab does not answer, so nothing is known.
            InputError: GitLab refuses.
        """
        request = gitlab.read_merge_request(self.connection, hint.project, hint.iid)
        decision = self._decide(hint, request)
        if decision.start:
            self._start(hint, request)
        return decision

    def _decide(self, hint: Hint, request: MergeRequest) -> Decision:
        if request.is_fork and not self.gate.forks:
            return Decision(start=False, reason="it comes from a fork, and --forks is not given")
        judged = {sha for project, sha in self._started if project == hint.project}
        if request.is_open and request.sha and request.sha not in judged:
            judged |= self._read_judged(hint, request)
        return decide(is_open=request.is_open, head=request.sha, judged=judged)

    def _read_judged(self, hint: Hint, request: MergeRequest) -> set[str]:
        """Return the head if it has our own status: somebody else's of that name proves nothing."""
        found = gitlab.read_statuses(
            self.connection, hint.project, request.sha, name=self.gate.status
        )
        own = self.connection.own_id
        return {status.sha for status in found if status.author == own}

    def _start(self, hint: Hint, request: MergeRequest) -> None:
        variables = {
            "GITOPS_PROJECT": str(hint.project),
            "GITOPS_MERGE_REQUEST": str(hint.iid),
            "GITOPS_SHA": request.sha,
            "GITOPS_STATUS": self.gate.status,
        }
        pipeline = gitlab.trigger_pipeline(
            self.connection, self.gate.project, self.gate.ref, variables
        )
        self._started[hint.project, request.sha] = None
        if len(self._started) > MOST_REMEMBERED:
            self._started.popitem(last=False)
        self._mark(hint, request.sha, pipeline.web_url)

    def _mark(self, hint: Hint, sha: str, url: str) -> None:
        """Show reviewers that the gate is on its way; the pipeline runs with or without it."""
        status = CommitStatus(
            sha=sha,
            name=self.gate.status,
            state=StatusState.PENDING,
            description="the gate has been started",
            target_url=url,
        )
        try:
            gitlab.set_status(self.connection, hint.project, status, iid=hint.iid)
        except GitopsError as error:
            log.warn(f"{_name(hint)}: started, but its status could not be set: {error}")


def work(inbox: Inbox, look: Callable[[Hint], Decision], stopped: threading.Event) -> None:
    """Look at each hint until stopped, as soon as it comes."""
    while not stopped.is_set():
        hint = inbox.take(0.5)
        if hint is not None:
            look_patiently(hint, look, stopped)


def look_patiently(hint: Hint, look: Callable[[Hint], Decision], stopped: threading.Event) -> None:
    """Look at one merge request; a GitLab that does not answer is asked again a little later."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            decision = look(hint)
        except OutsideError as error:
            log.warn(f"{_name(hint)}: attempt {attempt} of {ATTEMPTS}: {error}")
            if attempt == ATTEMPTS or stopped.wait(RETRY_SECONDS * attempt):
                return
        except GitopsError as error:
            log.warn(f"{_name(hint)}: {error}")
            return
        else:
            done = "started" if decision.start else "nothing to do"
            log.say(f"{_name(hint)}: {done}: {decision.reason}")
            return


def drain(inbox: Inbox, look: Callable[[Hint], Decision], clock: Callable[[], float]) -> None:
    """Look at what still waits, for a while; say what is left, because nobody sends it again."""
    end, stopped = clock() + DRAIN_SECONDS, threading.Event()
    stopped.set()
    while (hint := inbox.take(0)) is not None:
        if clock() < end:
            look_patiently(hint, look, stopped)
        else:
            log.warn(f"{_name(hint)}: not looked at any more: push again, or start its pipeline")


def _name(hint: Hint) -> str:
    return f"project {hint.project}, merge request {hint.iid}"
