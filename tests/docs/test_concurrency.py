"""The page about concurrency: each sentence of its lists is held by a test."""

from __future__ import annotations

import re

import pytest

from tests.support.installing import ROOT

PAGE = ROOT / "docs" / "concurrency.md"
START = "startup/test_threads_and_processes.py::"
LAZY = "startup/test_lazy.py::"
AWAIT = "dispatch/test_awaiting.py::"
ONE = "startup/test_one_snapshot.py::"
REFRESH = "startup/test_refresh.py::"
HELD_BY = [
    "stress/test_stress.py::test_every_answer_under_stress_belongs_to_one_registry",
    START + "test_threads_with_different_confs_add_up",
    START + "test_all_that_changes_the_registry_at_once_loses_nothing",
    START + "test_plugin_that_imports_in_a_thread_of_its_own_does_not_lock",
    "testing/test_checks.py::test_seeded_bug_is_caught_by_the_check_that_is_meant_for_it",
    START + "test_slow_import_holds_up_nobody",
    ONE + "test_wrapped_call_under_way_outlives_unload_all",
    LAZY + "test_many_threads_import_once_and_all_get_their_answer",
    START + "test_threads_that_import_rings_of_plugins_from_both_ends_do_not_lock",
    LAZY + "test_many_threads_share_one_failing_import",
    AWAIT + "test_sync_function_runs_in_a_thread_with_the_tasks_context_variables",
    LAZY + "test_tasks_that_wait_for_an_import_leave_the_pool_of_asyncio_to_others",
    AWAIT + "test_cancel_of_the_task_reaches_the_plugin_through_its_next_event",
    AWAIT + "test_what_a_thread_raises_after_the_cancel_is_logged",
    AWAIT + "test_wrappers_are_left_when_the_task_is_cancelled",
    START + "test_child_forked_in_the_middle_of_loading_can_call_and_load",
    START + "test_forked_child_can_initialize_anew",
    START + "test_spawned_child_begins_empty_and_is_told_so",
    START + "test_errors_of_a_pool_reach_the_parent_with_their_message",
    START + "test_interrupt_from_the_keyboard_during_an_import_undoes_all",
    ONE + "test_interrupt_in_the_middle_of_a_change_leaves_all_or_nothing",
    LAZY + "test_interrupted_first_call_leaves_the_plugin_to_the_next",
    "cli/test_process.py::test_signal_during_a_step_exits_without_traceback_or_files",
    START + "test_daemon_thread_that_a_plugin_left_does_not_keep_the_host_from_leaving",
    REFRESH + "test_plugin_that_pip_is_upgrading_keeps_its_keys",
    REFRESH + "test_refresh_without_file_descriptors_takes_no_keys_away",
    REFRESH + "test_call_under_way_ends_although_its_plugin_is_removed",
]
"""A test for each item of the page's lists, in their order."""


def test_each_sentence_has_its_test():
    assert len(re.findall("^- ", PAGE.read_text(encoding="utf-8"), re.M)) == len(HELD_BY)


@pytest.mark.parametrize("test", HELD_BY)
def test_test_of_a_sentence_is_there(test):
    path, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / "tests" / path).read_text(encoding="utf-8")
