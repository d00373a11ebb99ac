//! The two stories of the procedure, and what must never happen in them, on both databases: *given this, when this person does
//! this, then this.*

mod checklists;
mod hotfix;
mod interrupted;
mod planned;
mod posting;
mod releases_channel;
mod stopped;
mod told;

macro_rules! on_both_databases {
    ($($file:ident { $($name:ident)* })*) => {
        mod sqlite {
            $($(#[test]
            fn $name() {
                crate::support::bot::run(crate::support::database::Engine::Sqlite, super::$file::$name);
            })*)*
        }
        mod postgres {
            $($(#[test]
            fn $name() {
                crate::support::bot::run(crate::support::database::Engine::Postgres, super::$file::$name);
            })*)*
        }
    };
}

on_both_databases! {
    planned {
        a_planned_release_from_plan_to_production
        nobody_signs_their_own_release_and_guests_may_nothing
        a_rejection_is_lifted_by_its_own_role
        a_failing_script_leaves_the_release_approved_and_says_so
        a_moved_tag_is_found_before_the_start
        an_edit_voids_only_what_it_changes
        the_same_click_eleven_times_is_one_sign_off
        what_people_type_is_read_kindly
        nothing_starts_before_the_planned_start
        a_commit_is_typed_where_git_stays_silent
    }
    checklists {
        each_role_confirms_its_lines_in_one_visit_and_signs_with_them
        a_waiver_stands_on_the_card_and_dies_with_the_plan_it_was_given_on
        a_hotfix_starts_with_the_last_line_that_it_waits_for
    }
    hotfix {
        one_click_of_the_cto_deploys_when_the_tech_lead_has_signed
        an_unanswered_tech_lead_is_waited_for_fifteen_minutes
        the_notice_ladder_with_slack_down_ends_in_a_recorded_breach
        without_mail_and_pager_the_thread_says_that_nobody_was_told
        a_mail_server_that_says_no_is_a_job_that_gave_up
        the_notice_is_posted_late_but_in_time_after_an_outage
        a_bot_that_is_down_records_the_breach_when_it_is_back
        the_deputy_is_asked_after_ten_minutes_of_silence_and_may_sign
    }
    interrupted {
        two_people_who_say_that_it_finished_settle_it
        two_people_who_say_that_it_failed_settle_it
        two_people_may_start_a_new_attempt
        a_new_attempt_has_to_pass_every_gate_again
        a_new_attempt_does_not_start_beside_the_old_script
        another_release_does_not_start_beside_the_old_script
        a_spool_that_vanished_is_no_proof_that_nothing_ran
        a_host_that_never_comes_back_leaves_it_to_two_people
    }
    posting {
        a_message_waits_as_long_as_slack_asks_and_comes_once
        a_channel_shared_with_outsiders_gets_no_buttons
    }
    stopped {
        a_stop_ends_the_script_and_frees_the_environment
        a_script_that_ignores_term_is_killed_after_its_grace
    }
    told {
        a_cancelled_release_invites_nobody_to_try_again
        after_an_outage_the_late_notice_comes_first_then_the_breach_then_the_result
        after_a_night_down_the_late_notice_comes_first_then_the_breach_then_the_result
        what_waited_for_slack_is_true_soon_after_it_answers
        a_no_reaches_who_asked_and_is_lifted_in_so_many_words
        a_hotfix_that_is_rejected_reaches_who_asked_for_it
        the_audit_and_why_speak_as_people_do
    }
    releases_channel {
        a_bot_that_is_invited_late_posts_the_notice_by_itself
        a_notice_that_slack_took_and_lost_is_posted_again
    }
}
