//! The store's contract: every test runs on both databases, and on the simulation's store in memory. What only one engine
//! has is in `store/sqlite_only.rs` and `store/postgres_only.rs`.

mod commits;
mod given;
mod groups;
mod messages;
mod people;
mod postgres_only;
mod queue;
mod reads;
mod repeats;
mod sqlite_only;

macro_rules! contract {
    ($($file:ident { $($name:ident)* })*, in SQL: $($sql_file:ident { $($sql_name:ident)* })*) => {
        contract!(sqlite Sqlite $($file { $($name)* })* $($sql_file { $($sql_name)* })*);
        contract!(postgres Postgres $($file { $($name)* })* $($sql_file { $($sql_name)* })*);
        contract!(memory Memory $($file { $($name)* })*);
    };
    ($module:ident $engine:ident $($file:ident { $($name:ident)* })*) => {
        mod $module {
            $($(#[test]
            fn $name() {
                crate::support::database::run(crate::support::database::Engine::$engine, super::$file::$name);
            })*)*
        }
    };
}

contract! {
    commits {
        a_commit_stands_in_the_chain_with_everything_that_follows
        the_same_request_gets_the_saved_reply
        a_conflict_leaves_nothing_behind
        a_stream_that_was_only_read_must_not_have_moved
        a_stream_that_was_read_as_absent_must_still_be_absent
        a_business_key_exists_once
        of_two_decisions_on_one_stream_one_wins
        entries_without_a_version_follow_each_other
        what_can_never_be_written_fails_alone
        a_deadline_that_has_passed_leaves_nothing
        a_caller_that_leaves_does_not_undo_its_commit
        entries_are_logged_in_order_whatever_the_clock_says
        a_closed_store_has_written_what_waited
    }
    groups {
        many_at_once_with_duplicates_and_conflicts_all_get_the_true_answer
        a_crossed_read_in_one_group_is_a_conflict
        members_that_share_a_key_take_turns
    }
    repeats {
        repeats_of_a_refusal_are_counted_beside_the_chain
        a_window_closes_only_with_the_true_count
    }
    queue {
        a_job_is_claimed_settled_and_gone
        a_job_with_the_same_id_is_the_same_job
        a_lost_job_writes_nothing
        jobs_of_one_key_run_in_order
        a_dead_job_holds_nobody_up
        no_job_is_claimed_twice
        a_lease_that_ended_is_taken_over
        a_result_and_a_takeover_at_once_leave_one_holder
        a_lease_that_is_renewed_is_kept
        a_job_that_kills_its_workers_dies
        equal_jobs_that_wait_are_one
        due_times_are_kept_to_the_millisecond
        waiting_costs_no_attempt
        a_hurried_job_is_due_sooner_once_and_never_later
        a_worker_that_stops_hands_its_jobs_back
        who_is_alone_need_not_wait_for_leases
        operators_list_retry_and_drop
        lanes_are_counted_and_claimed_apart
        what_is_old_is_purged
        a_commit_with_jobs_wakes_workers
        a_commit_holds_jobs_whoever_has_them
    }
    reads {
        lists_are_filtered_and_newest_first
        hotfix_numbers_are_compared_as_numbers
        entries_are_read_by_position_and_by_stream
        texts_come_back_by_commitment
    }
    messages {
        of_two_attempts_to_post_one_begins
        replicas_share_the_turns_of_a_channel
        what_slack_lost_is_forgotten_once
        a_message_is_posted_once
        a_rendering_replaces_only_what_it_saw
    }
    people {
        a_person_has_one_id_however_many_ask
        who_is_erased_leaves_an_id_that_stands_for_nobody
        nothing_is_committed_in_the_name_of_who_was_erased_meanwhile
        beats_are_kept_by_owner
    },
    in SQL:
    commits {
        entries_cant_be_changed_or_removed
    }
    reads {
        tables_are_the_same_in_both_dialects
        opened_for_reading_nothing_is_written
    }
}
