"""A rendered service comes in; it has all the traffic of its InferenceService, or what served before has.

Nothing is remembered between runs: each begins with what the cluster says, and goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gitops import log
from gitops.adapters.kserve import (
    ClusterService,
    Endpoint,
    TakenError,
    ask_identity,
    replay,
)
from gitops.canary import (
    Action,
    Place,
    Step,
    find_unrestored,
    locate,
    plan_next,
    read_wanted,
    with_all,
    with_attempt,
    with_previous,
    with_share,
    with_stop,
)
from gitops.engines import Kserve, KserveMode
from gitops.errors import GitopsError, InputError, OutsideError, RefusedError
from gitops.flow.cluster_checks import CONFIRMED, await_identity, measure_share, within_lag
from gitops.inference import find_repository
from gitops.live import LiveService
from gitops.rollout import Parity, ServedIdentity, TrafficStep, compare_rows
from gitops.traffic import Sides

if TYPE_CHECKING:
    from gitops.run import Scores


# How often in a row a cluster must look the same: one that flaps is not ready.
_STEADY = 3


class OvertakenError(RefusedError):
    """Somebody else is rolling out: what is there now is not ours to touch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The held-out rows, and what the gate saw this bundle predict for them."""

    scores: Scores
    rows: list[dict[str, Any]]


@dataclass(slots=True, kw_only=True)
class ClusterTurn:
    """One InferenceService's turn from what serves to what should.

    Attributes:
        service: the InferenceService.
        rendered: what it should be in the end.
        identity: what its answers must say.
        kserve: how to get there.
        proof: None when there are no predictions to compare with.
        on_step: called after each step with its name.
        proven, applied: the share that was checked, and the one that was set, None before.
        replaced: the newest revision before this run set anything.
        stable: what served before, as Standard mode needs it again.
        previous: who that says it is, None when nobody knows.
        is_first: nothing served before.
        is_promoted: this run gave all the traffic to the new one for good.
    """

    service: ClusterService
    rendered: Mapping[str, Any]
    identity: ServedIdentity
    kserve: Kserve
    proof: Replay | None
    on_step: Callable[[str], None]
    proven: int | None = None
    applied: int | None = None
    replaced: str = ""
    stable: Mapping[str, Any] = field(default_factory=dict)
    previous: ServedIdentity | None = None
    is_first: bool = False
    is_promoted: bool = False
    parity: Parity | None = None
    steps: list[TrafficStep] = field(default_factory=list)

    @property
    def is_changed(self) -> bool:
        """Tell whether this run set anything."""
        return self.applied is not None

    def run(self) -> LiveService:
        """Take the turn; return the service as it is at the end.

        Raises:
            RefusedError: the new one is not what was judged, or fails under traffic.
            OutsideError: it is never ready, or the cluster fails. Both name what serves now.
        """
        begun = self.service.read()
        self._refuse_strangers(begun)
        self._look_back(begun)
        place = locate(begun, self._wanted)[0] if begun else Place.ABSENT
        try:
            return self._advance()
        except OvertakenError:
            raise
        except Exception as error:
            if self.is_changed or place is Place.CANARY:
                raise self._give_up(error) from error
            raise

    @property
    def _wanted(self) -> Mapping[str, Any]:
        return read_wanted(self.rendered)

    def _refuse_strangers(self, live: LiveService | None) -> None:
        """Leave a service alone that another repository rolls out under the same name."""
        theirs = find_repository(live.predictor) if live else ""
        if theirs and theirs != find_repository(self._wanted):
            name, namespace = self.service.name, self.service.namespace
            raise RefusedError(
                f"{theirs} serves {namespace}/{name} already",
                hint="name another serve.name or serve.namespace; if the repository moved, put its "
                f"new address there: kubectl -n {namespace} edit inferenceservice {name}",
            )

    def _look_back(self, live: LiveService | None) -> None:
        """Note what serves before anything is changed, and what nobody but a person can have set."""
        if live is None:
            return
        place, percent = locate(live, self._wanted)
        if place is Place.STABLE:
            return
        self.stable = live.predictor
        if place is Place.CANARY and self.kserve.mode is KserveMode.SERVERLESS:
            self.rendered = with_attempt(self.rendered, live, more=0)
        if place is Place.CANARY and percent not in (0, *self.kserve.traffic):
            log.warn(f"somebody gave the new one {percent} % of the traffic; going on from there")
        if live.url and not live.is_stopped:
            self.previous = self._ask_previous(live, place)

    def _ask_previous(self, live: LiveService, place: Place) -> ServedIdentity | None:
        """Ask what served before by an address of its own, by the public one if nothing splits it."""
        try:
            if self.kserve.mode is KserveMode.STANDARD:
                old = self.service.open_deployment(str(live.predictor.get("name", "")))
            else:
                public = live.url if place is Place.ABSENT else ""
                known = live.find_url("prev") or public
                if not known:
                    return None
                old = self.service.open_url(known)
            return ask_identity(old, self.service.name)
        except GitopsError as error:
            log.warn(f"what served before does not say what it is: {error}")
            return None

    def _advance(self) -> LiveService:
        while True:
            live, action = self._settle()
            # A share of 100 % that somebody else has set as well stays written down: it is no matter.
            is_done = action.step is Step.PROMOTE and self.is_promoted
            if live is not None and (is_done or action.step is Step.DONE):
                self._confirm(live)
                return live
            self._act(action, live)

    def _settle(self) -> tuple[LiveService | None, Action]:
        """Look until the cluster has done what its spec says, and still has; return what is next."""
        deadline = time.monotonic() + self.kserve.ready
        before: Action | None = None
        steady = 0
        while True:
            live = self.service.read()
            self._check_ours(live)
            action = plan_next(
                live,
                self._wanted,
                mode=self.kserve.mode,
                shares=self.kserve.traffic,
                proven=self.proven,
                replaced=self.replaced,
            )
            steady = steady + 1 if action == before else 1
            if action.step is Step.WAIT:
                if time.monotonic() > deadline:
                    raise OutsideError(f"not ready in {self.kserve.ready:g} s: {action.why}")
            elif steady >= _STEADY or action.step in (Step.CREATE, Step.START):
                return live, action
            before = action
            time.sleep(self.service.patience.poll)

    def _check_ours(self, live: LiveService | None) -> None:
        """Refuse to go on when somebody else has changed what this run has set."""
        if self.applied is None:
            return
        again = f"see who it was, then run: gitops rollout {self.identity.model}"
        if live is None or live.is_stopped:
            raise OvertakenError("somebody deleted or stopped the service meanwhile", hint=again)
        place, percent = locate(live, self._wanted)
        if place is Place.ABSENT:
            raise OvertakenError("superseded: somebody rolls out another one", hint=again)
        if percent != self.applied:
            raise RefusedError(
                f"somebody changed the share of the new one from {self.applied} to {percent} %",
                hint=again,
            )

    def _act(self, action: Action, live: LiveService | None) -> None:
        if action.step is Step.PROVE and live is not None:
            self._prove(live)
        elif action.step is Step.CHECK and live is not None:
            self._check(live, action.percent)
        elif action.step is Step.SHIFT:
            self._share(action.percent, f"shifted to {action.percent} %")
        elif action.step is Step.PROMOTE:
            self._apply(with_all(self.rendered, self.kserve.mode), 100)
            self.is_promoted = True
            self.on_step("promoted")
        elif action.step is Step.START and live is not None:
            self.replaced = live.created
            if locate(live, self._wanted)[0] is Place.CANARY:
                self.rendered = with_attempt(self.rendered, live, more=1)
            self._share(0, "started")
        else:
            self.is_first = True
            self.replaced = live.created if live and not live.is_stopped else ""
            self._apply(with_all(self.rendered, self.kserve.mode), 100)
            self.on_step("created")

    def _share(self, percent: int, name: str) -> None:
        self._apply(with_share(self.rendered, self.stable, percent, self.kserve.mode), percent)
        self.on_step(name)

    def _apply(self, body: Mapping[str, Any], percent: int) -> None:
        """Apply; Git wins over what somebody set before this run, but nobody is fought during it."""
        try:
            self.service.apply(body, force=False)
        except TakenError as error:
            if self.is_changed:
                raise
            log.warn(f"{error.what}: Git says otherwise, so it is taken back")
            self.service.apply(body, force=True)
        self.applied = percent

    def _prove(self, live: LiveService) -> None:
        """Ask the new one who it is, and what it predicts."""
        self.on_step("ready")
        endpoint = self._open_new(live)
        await_identity(self.service, endpoint, self.identity)
        self.on_step("identified")
        if self.proof is not None:
            answers = replay(endpoint, self.service.name, self.proof.rows)
            self.parity = compare_rows(self.proof.scores, answers)
        self.proven = 0
        self.on_step("replayed")

    def _open_new(self, live: LiveService) -> Endpoint:
        """Return the address at which nobody but the new one answers."""
        if locate(live, self._wanted)[0] is Place.STABLE:
            return self.service.open_url(live.url)
        if self.kserve.mode is KserveMode.STANDARD:
            return self.service.open_deployment(self._wanted["name"])
        return self.service.open_url(live.find_url("latest"))

    def _check(self, live: LiveService, percent: int) -> None:
        """Send requests through the public address, and see who answers them, how often and how fast."""
        measured = measure_share(
            self.service,
            self.service.open_url(live.url),
            sides=Sides(new=self.identity, old=self.previous),
            percent=percent,
            check=self.kserve.check,
            rows=self.proof.rows if self.proof else [],
            baseline=next((s.old_p95 for s in reversed(self.steps) if s.old_p95), None),
        )
        self.steps.append(measured)
        self.proven = percent
        self.on_step(f"checked at {percent} %")

    def _confirm(self, live: LiveService) -> None:
        endpoint = self.service.open_url(live.url)
        await_identity(self.service, endpoint, self.identity, times=CONFIRMED)

    def _give_up(self, error: Exception) -> GitopsError:
        """Bring back what served before, and return the error that says so, or that it could not be."""
        what = error.what if isinstance(error, GitopsError) else f"{type(error).__name__}: {error}"
        kind = next((k for k in (RefusedError, InputError) if isinstance(error, k)), OutsideError)
        hint = error.hint if isinstance(error, GitopsError) else ""
        try:
            now = self._restore()
        except Exception as failure:  # noqa: BLE001 - whatever it was, a person has to look now
            return OutsideError(
                f"{what}; AND WHAT SERVED BEFORE COULD NOT BE BROUGHT BACK: {failure}",
                where=f"{self.service.namespace}/{self.service.name}",
                hint="look at it now: kubectl describe inferenceservice, and gitops status",
            )
        return kind(f"{what}; {now}", hint=hint or "mend the cause, then run it again")

    def _restore(self) -> str:
        """Give all the traffic to what served before, and verify it; return a sentence on it."""
        live = self.service.read()
        if live is None or locate(live, self._wanted)[0] is Place.ABSENT:
            raise OvertakenError("somebody else has changed the service meanwhile")
        if self.is_first:
            self.service.apply(with_stop(self.rendered), force=True)
            self.on_step("stopped")
            return "nothing served before, so the new one was stopped"
        body = with_previous(self.rendered, self.stable, self.kserve.mode)
        self.service.apply(body, force=True)
        # Its pods may have to start again.
        patience = replace(self.service.patience, lag=self.kserve.ready)
        within_lag(patience, self._verify_restored, RefusedError, OutsideError)
        self.on_step("restored")
        version = self.previous.version if self.previous else "what served before"
        return f"{version} has all the traffic again"

    def _verify_restored(self) -> None:
        live = self.service.read()
        if live is None:
            raise OutsideError("the service is gone")
        missing = find_unrestored(live, self._wanted, self.kserve.mode)
        if missing:
            raise OutsideError(missing)
        endpoint = self.service.open_url(live.url)
        for _ in range(CONFIRMED):
            told = ask_identity(endpoint, self.service.name)
            is_old = told == self.previous if self.previous else told != self.identity
            if not is_old:
                raise RefusedError(f"{told.version or '?'} of commit {told.commit[:12]} answers")
