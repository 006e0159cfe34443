"""A Kubernetes API server with KServe's behaviour, on 127.0.0.1, under the real `kubernetes` and `kserve` clients.

    with serve_kubernetes(tmp_path / "cluster", initialize=copy_bundle, environ={"PATH": ...}) as cluster:
        kubernetes.config.load_kube_config(str(cluster.kubeconfig(tmp_path / "kubeconfig")))

What comes in is what a real client sends; pods are real processes (`initialize(uri, folder, environ)` as the
storage initializer, default `python -m gitops fetch URI FOLDER`; then `python -m gitops serve FOLDER/bundle
--identity FOLDER/identity.json --name <isvc>`), and everything ends with the block. A pod's environment is
`environ` and the `env` of its model (name and value only), never the test's.

The cluster (`FakeCluster`):
- `cluster.url`, `cluster.token`: the API server and its bearer token; `cluster.kubeconfig(path) -> path`.
- `cluster.gateway`: URL of the ingress, which routes by `Host` header: that of `status.url`
  (`<isvc>.<ns>.example.com`, in Standard mode `<isvc>-<ns>.example.com`: read it, do not build it), those of
  `traffic[].url` in Serverless mode (`prev-<isvc>-predictor.<ns>.example.com` while there is a canary, and with
  annotation `serving.kserve.io/enable-tag-routing: "true"` also `latest-…`), and in-cluster
  `<service>.<ns>.svc.cluster.local`. Unknown host 404; no ready backend 503. What a workload answered, or
  should have answered, carries `X-Fake-Revision: <revision or deployment>`.
- `cluster.traffic(ns, isvc) -> {revision or deployment: percent}`: where the gateway sends requests now (the
  stable predictor of Standard mode also while it is not ready).
- `cluster.revisions(ns, isvc) -> tuple[Workload, ...]`, oldest first (`name`, `uri`, `state`, `port`, `pid`,
  `generation`, `message`); in Standard mode these are Deployments.
- `cluster.served -> Counter[(ns, revision)]`: requests that the gateway or the service proxy sent there.
- `cluster.requests`: `Asked(verb, path, manager, status)` of each API request, in order.
- `cluster.create_namespace(name)`; `models` exists from the start (`namespaces=` changes that).
- `cluster.wait(condition, seconds=30)` waits until `condition()` is true, else AssertionError; woken by each
  change.
- `cluster.faults`: `Faults`; every one is off until a test sets it: `stuck = True` new workloads never become
  ready · `failed_load = True` they die while loading · `flap = n` Ready answers False to every other of the
  next n reconciliations (25 ms apart) · `crash[revision] = n` its server dies after n more requests and is not
  restarted · `errors[revision] = 0.2` the gateway answers 500 to that share of requests (an even pattern, not
  random) · `slow[revision] = seconds` delay of each request · `conflict = n` 409 Conflict for the next n
  PATCHes (nothing is applied) · `server_errors = n` 503 for the next n API requests · `lost_replies = n` the
  next n PATCHes are applied, then the connection drops · `unauthorized = True` 401 for all until
  `cluster.renew_token()` (gives a new token; call `kubeconfig` again) · `drop_watches()` cuts every open watch
  now (`cluster.forget_history()` makes older resourceVersions 410 Gone) · `frozen = True` the controller does
  nothing (a slow cluster): status and observedGeneration stay as they are. The keys of crash, errors and slow
  may also be `"*"`: whatever was created last.

API server: group/version/namespace/plural for every kind (also core `configmaps`, `services`, `namespaces`…):
GET, LIST (labelSelector `a=b,c=d`, fieldSelector metadata.name), POST, PUT, DELETE, PATCH with
`application/merge-patch+json` or `application/apply-patch+yaml`, watch. uid, resourceVersion, generation (+1
with the spec), managedFields; 409 AlreadyExists, 409 Conflict for a stale resourceVersion and for fields of
another manager without `force`; `/status` cannot be written. Server-side apply with kubernetes 30.1:
`patch_namespaced_custom_object` always sends merge-patch unless its `ApiClient` says otherwise:
`client.set_default_header("Content-Type", "application/apply-patch+yaml")` on an ApiClient kept for applying.
Every list is atomic here (one owner, replaced whole).

Service proxy: `/api/v1/namespaces/{ns}/services/[http:]{service}[:{port}]/proxy/{path}`, GET and POST.
Services: `<isvc>` (the traffic split), each workload on its own (Serverless `<revision>`, Standard
`<isvc>-<name>-predictor`, for an unnamed stable predictor `<isvc>-predictor`), and in Serverless mode
`<isvc>-predictor` (the split) and the tags'.
(`connect_get_namespaced_service_proxy_with_path("fuel-predictor:80", ns, "v2/models/fuel")`.)

KServe, mode by annotation `serving.kserve.io/deploymentMode`: Serverless (or Knative; the default), Standard
(or RawDeployment).
- Serverless, as ksvc_reconciler.go and inference_service_status.go: each change of the template makes a
  revision `<isvc>-predictor-0000N`; template = the predictor without `canaryTrafficPercent`, AND the
  annotations and labels of the InferenceService (KServe copies them: an annotation changed at each step would
  make a revision at each step). `status.components.predictor` has latestCreatedRevision, latestReadyRevision,
  latestRolledoutRevision, previousRolledoutRevision (the last two only once there is one), url, traffic. No
  percent, or nothing rolled out yet: 100 % to the latest READY revision. N < 100: N % to it, tag `prev` with
  the rest to the last rolled-out one. Lowering the percentage of a revision that is already rolled out goes
  back to previousRolledoutRevision. A revision that never gets ready gets no traffic: latestReady stays behind
  latestCreated.
  TRAP (real): applying the old template WITHOUT a percentage while a canary is live gives that canary 100 %
  until the new revision is ready; keep `canaryTrafficPercent: 0` until it is. Ready revisions that neither the
  traffic nor the status names any more end (Knative scales them to zero).
- Standard: Deployment and Service `<isvc>-predictor`, or `<isvc>-<predictor.name>-predictor`; each
  `spec.canary` entry its own `<isvc>-<name>-predictor`. Same name and same model = same process, so that
  promotion (stable takes the canary's name and model) restarts nothing; what no entry names is deleted at once,
  ready or not. Only ready canaries get traffic. `status.canaryStatuses` and condition `CanaryPredictorReady`
  (reason AllCanariesReady; gone with the last canary). A changed model in one Deployment is a rolling update:
  the old process serves until the new is ready.
- Both: conditions PredictorReady, IngressReady, Ready (and their `reason`), `status.url`,
  `status.observedGeneration`, `status.deploymentMode`, `status.modelStatus` {states, transitionStatus, copies,
  lastFailureInfo}.
- Refused by the webhook (403, as controller-runtime denies): canary outside Standard mode or beside
  canaryTrafficPercent, a canary without name, equal names (also the stable one's), a sum over 100, a changed
  mode. By the schema (422): no predictor, percentages outside 0-100.
Not simulated: restarts, scaling (also to zero), several replicas, transformers, explainers, RBAC.
"""

from tests.fake_kubernetes.cluster import FakeCluster, serve_kubernetes
from tests.fake_kubernetes.faults import Faults
from tests.fake_kubernetes.pods import State, Workload
from tests.fake_kubernetes.server import Asked

__all__ = ["Asked", "FakeCluster", "Faults", "State", "Workload", "serve_kubernetes"]
