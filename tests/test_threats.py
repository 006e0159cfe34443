"""Threats and faults that the toolkit is held to: each has a test, here or, where `ELSEWHERE` says so, at home.

The letters are those of the project's threat model (T) and fault table (F).
"""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.bench.plan_repository import write_repository
from tests.repositories import ENVIRONMENT, Repository, make_repository, render_pointer_file
from tests.test_config import MINIMAL

HERE = Path(__file__).parent
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "T11 requests to places nobody allowed": (
        "test_source.py::test_a_host_that_is_not_listed_is_refused",
        "test_source.py::test_an_address_is_judged_whatever_its_form",
        "test_fetch_hostile_commits.py::test_a_commit_cannot_send_the_pod_to_a_host_that_is_not_listed",
        "test_fetch_hostile_servers.py::test_a_second_answer_of_the_dns_leads_nowhere",
        "test_fetch_hostile_servers.py::test_a_metadata_service_stays_closed_to_a_host_of_our_own_network",
        "test_fetch_hostile_servers.py::test_a_token_never_follows_a_redirect",
        "test_kubeflow_token.py::test_an_address_that_no_token_should_go_to_is_refused",
        "test_kubeflow_token.py::test_a_redirect_is_not_followed_with_the_token_or_without",
        "test_store_address.py::test_a_merge_request_cannot_move_the_store",
        "dvc/test_dvc_s3.py::test_the_endpoint_is_the_target_branch_s_whatever_the_checkout_says",
        "test_cluster_engine.py::test_a_merge_request_cannot_send_the_token_or_its_run_elsewhere",
    ),
    "T12 code in a model file": (
        "test_threats.py::test_a_pickle_is_never_loaded_whatever_its_bundle_calls_it",
        "test_threats.py::test_a_pointer_to_a_pickle_is_data_to_every_command",
        "test_bundle.py::test_a_stored_pipeline_with_its_own_code_is_not_loaded",
        "test_architecture.py::test_nothing_unpickles_and_nothing_opens_a_shell",
    ),
    "T13 archives that climb out or blow up": (
        "test_placement_archives.py::test_an_unsafe_archive_is_refused",
        "test_placement_archives.py::test_a_bomb_is_refused_before_it_is_unpacked",
        "test_placement_archives.py::test_any_bytes_are_an_archive_or_refused",
    ),
    "T15 an object changed between gate and push, or between push and deployment": (
        "test_release.py::test_a_bundle_changed_after_the_verdict_is_not_released",
        "test_store_index.py::test_a_file_that_was_changed_on_the_object_store_is_refused_and_not_kept",
        "dvc/test_dvc_s3.py::test_an_object_changed_between_push_and_fetch_is_refused_and_not_kept",
        "test_fetch_hostile_servers.py::test_an_object_with_other_bytes_is_never_delivered",
        "test_fetch_hostile_commits.py::test_bytes_that_were_not_released_are_refused",
        "test_fetch_hostile_commits.py::test_a_pointer_changed_after_its_release_is_refused",
        "test_kserve_rollout.py::test_a_model_that_says_it_is_another_never_gets_traffic",
        "test_kserve_rollout.py::test_a_model_that_predicts_something_else_never_gets_traffic",
    ),
    "T16 another pipeline under our name": (
        "test_kubeflow_orders.py::test_a_version_that_reads_back_differently_is_refused",
        "test_kubeflow_orders.py::test_a_run_of_the_same_name_that_is_not_this_order_is_not_attached_to",
        "test_kubeflow_orders.py::test_a_pipeline_of_another_namespace_is_not_used",
        "test_compilation_grants.py::test_a_merge_request_takes_nothing_that_it_is_not_granted",
        "test_placement_secrets.py::test_a_name_alone_makes_no_step_of_the_toolkit",
    ),
    "T19 history that was rewritten": (
        "test_release_publish.py::test_rewritten_history_stops_every_release",
        "test_release_publish.py::test_two_models_released_at_once_fifty_times_lose_nothing",
        "test_release_publish.py::test_a_branch_that_moves_while_we_build_is_built_upon",
    ),
    "T22 a merge request that starts many runs": (
        "test_kubeflow_orders.py::test_five_pushes_in_a_row_leave_one_active_run",
        "test_cluster_engine.py::test_a_newer_commit_of_the_merge_request_ends_the_run_of_the_older",
    ),
    "F1 the network drops during a push": (
        "dvc/test_dvc_faults.py::test_a_server_that_stops_answering_in_the_middle_of_a_push_costs_bounded_time",
        "dvc/test_dvc_s3.py::test_a_push_that_breaks_off_ends_in_bounded_time_and_is_repeated",
        "test_store_s3_faults.py::test_an_upload_that_breaks_off_leaves_nothing_visible_and_is_repeated",
    ),
    "F2 killed between any two steps of a release": (
        "test_release.py::test_killed_after_any_step_and_run_again_it_converges",
        "test_whole_way.py::a_release_pod_that_is_killed_leaves_nothing_half_done",
        "test_whole_way.py::run_again_the_better_model_takes_over_step_by_step",
    ),
    "F3 two releases at once": (
        "test_release_publish.py::test_two_models_released_at_once_fifty_times_lose_nothing",
        "test_release_publish.py::test_two_candidates_of_one_model_at_once_one_wins_the_other_is_superseded",
    ),
    "F4 a push that says it worked": (
        "dvc/test_dvc_faults.py::test_a_push_that_lies_is_found_out",
        "dvc/test_dvc_s3.py::test_a_push_that_s3_only_claims_to_have_stored_is_found_out",
        "dvc/test_dvc_s3.py::test_a_missing_child_is_noticed_although_the_listing_is_there_and_push_mends_it",
    ),
    "F5 a lost reply to the creation of a run": (
        "test_kubeflow_orders.py::test_a_lost_reply_to_the_creation_never_makes_a_second_run",
        "test_kubeflow_orders.py::test_a_run_that_the_list_shows_late_is_found_instead_of_created_again",
        "test_kubeflow_orders.py::test_a_sign_in_page_instead_of_the_list_does_not_count_as_no_run",
    ),
    "F6 a run that never ends, or is gone": (
        "test_kubeflow_watching.py::test_a_run_that_never_ends_is_ended_at_the_deadline_whatever_the_clocks_say",
        "test_kubeflow_watching.py::test_a_run_that_somebody_deleted_is_an_outside_error",
    ),
    "F9 a rollout that is never ready": (
        "test_kserve_faults.py::test_one_that_is_never_ready_is_given_up_at_its_deadline",
        "test_kserve_faults.py::test_one_that_flaps_is_not_taken_for_ready",
        "test_kserve_faults.py::test_no_conflict_lost_reply_or_broken_answer_makes_a_second_of_anything",
    ),
    "F10 killed in the middle of a rollout": (
        "test_kserve_rollout.py::test_killed_after_every_step_each_next_run_goes_on_from_what_is_live",
    ),
    "F11 a full disk": (
        "test_threats.py::test_a_full_disk_is_said_in_one_line_and_leaves_nothing_half_written",
        "dvc/test_dvc_faults.py::test_a_full_or_forbidden_disk_is_an_error_with_a_place",
        "test_store_s3_faults.py::test_a_full_disk_while_downloading_is_an_error_with_its_place_and_leaves_nothing",
        "test_fetch_destination.py::test_a_disk_that_takes_no_more_leaves_nothing_and_is_worth_a_retry",
    ),
    "F12 clocks that disagree": (
        "test_kubeflow_watching.py::test_a_run_that_never_ends_is_ended_at_the_deadline_whatever_the_clocks_say",
    ),
    "F16 a huge repository": (
        "test_threats.py::test_a_plan_of_a_huge_repository_stays_small",
        "test_fetch.py::test_the_objects_of_other_files_stay_on_the_server",
    ),
    "F18 a job that is cancelled, or whose runner is lost": (
        "test_cluster_engine.py::test_cancelling_the_job_ends_the_run",
        "test_cluster_engine.py::test_a_lost_job_leaves_its_run_and_the_next_one_attaches",
        "test_rollout.py::test_killed_in_the_middle_and_run_again_it_leaves_one_server",
    ),
    "F19 a lock that a killed process left": (
        "dvc/test_dvc_faults.py::test_a_lock_that_a_killed_dvc_left_behind_does_not_matter",
        "dvc/test_dvc_s3.py::test_the_locks_of_a_killed_dvc_do_not_matter_to_a_rerun_in_the_same_folder",
    ),
}
# Loading this would write a file beside it; written by hand, so that no test imports pickle.
PAYLOAD = b"cos\nsystem\n(S'touch pwned'\ntR."
FULL = """\
import errno, os
def full(descriptor):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
os.fsync = full
"""


@pytest.mark.parametrize(
    ("threat", "tests"), ELSEWHERE.items(), ids=[threat.split()[0] for threat in ELSEWHERE]
)
def test_the_test_of_a_threat_is_still_there(threat: str, tests: Sequence[str]) -> None:
    for test in tests:
        file, _, name = test.partition("::")
        tree = ast.parse((HERE / file).read_text("utf-8"))
        found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in found, f"{threat}: {test}"


def run_gitops(
    repository: Repository, *arguments: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gitops", *arguments],
        cwd=repository.path,
        env={**ENVIRONMENT, "HOME": str(repository.path.parent), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def make_bundle_of(folder: Path, name: str, claimed: str) -> Path:
    """Write a bundle whose model file is the payload, and whose document vouches for it."""
    folder.mkdir()
    (folder / name).write_bytes(PAYLOAD)
    model = {
        "file": name,
        "size": len(PAYLOAD),
        "sha256": hashlib.sha256(PAYLOAD).hexdigest(),
    }
    field = {"name": "wght", "type": "number", "missing": False, "minimum": 1.0, "maximum": 2.0}
    signature = {"inputs": [field], "target": "mpg", "task": "regression"}
    body = {"schema_version": 1, "format": claimed, "model": model, "signature": signature}
    (folder / "bundle.json").write_text(json.dumps({**body, "metrics": {}}))
    return folder


@pytest.mark.parametrize("claimed", ["pickle", "sklearn", "skops", "xgboost", "joblib"])
@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.skops", "model.ubj"])
def test_a_pickle_is_never_loaded_whatever_its_bundle_calls_it(
    tmp_path: Path, claimed: str, name: str
) -> None:
    bundle = make_bundle_of(tmp_path / "bundle", name, claimed)
    done = subprocess.run(
        [sys.executable, "-m", "gitops", "serve", str(bundle), "--name", "fuel", "--port", "0"],
        cwd=tmp_path,
        env={**ENVIRONMENT, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert not list(tmp_path.rglob("pwned"))


def test_a_pointer_to_a_pickle_is_data_to_every_command(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "work")
    md5 = hashlib.md5(PAYLOAD, usedforsecurity=False).hexdigest()
    stored = tmp_path / "remote" / "files" / "md5" / md5[:2] / md5[2:]
    stored.parent.mkdir(parents=True)
    stored.write_bytes(PAYLOAD)
    repository.commit_files(
        {
            ".dvc/config": "[core]\nremote = disk\n['remote \"disk\"']\nurl = ../../remote\n",
            "data/cars.csv.dvc": render_pointer_file("cars.csv", PAYLOAD),
            "gitops.yaml": MINIMAL,
            "pipelines/fuel/pipeline.py": "train = None\n",
        }
    )
    for command in (["plan"], ["check"], ["status"]):
        assert run_gitops(repository, *command).returncode != 3, command
    assert not list(tmp_path.rglob("pwned"))


def test_a_full_disk_is_said_in_one_line_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "work")
    repository.commit_files({"gitops.yaml": MINIMAL, "pipelines/fuel/pipeline.py": "train = 1\n"})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "sitecustomize.py").write_text(FULL)
    done = run_gitops(repository, "plan", PYTHONPATH=str(tmp_path / "full"))
    assert done.returncode == 4, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (repository.path / ".gitops").rglob("*.json")] == []


def test_a_plan_of_a_huge_repository_stays_small(tmp_path: Path) -> None:
    """Two thousand pointers and twenty thousand files: what did not change is not even read."""
    base, _ = write_repository(tmp_path / "work", 2_000, 20_000)
    measured = subprocess.run(
        [sys.executable, "-c", _PEAK, base],
        cwd=tmp_path / "work",
        env={**ENVIRONMENT, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(measured.stdout)
    assert "wine: run: code changed: pipelines/wine/c00/m00001.py" in found["plan"]
    assert found["peak_kib"] < 200 * 1024


_PEAK = """\
import json, resource, subprocess, sys
command = [sys.executable, "-m", "gitops", "plan", "--base", sys.argv[1]]
done = subprocess.run(command, capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"plan": done.stdout, "peak_kib": peak}))
"""
