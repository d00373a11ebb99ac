//! The front door against hostile requests: each test asserts the code and that nothing moved, on both databases.

mod door;
mod floods;
mod forged;
mod page;
mod people;
mod secrets;
mod shapes;
mod signatures;

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
    signatures {
        what_slack_did_not_sign_is_not_believed
        the_time_is_a_plain_number_within_five_minutes
        the_previous_secret_is_believed_while_it_is_configured
    }
    shapes {
        another_content_type_is_415
        what_is_too_large_is_413_however_it_comes
        a_slow_body_is_given_up_and_holds_nobody_up
        what_can_not_be_read_is_400
        other_workspaces_and_apps_are_403
        only_post_and_only_these_routes
    }
    people {
        whoever_is_no_active_human_member_is_told_why_and_decides_nothing
        names_and_titles_give_no_authority
        while_slack_does_not_say_who_somebody_is_nothing_is_recorded
        who_lost_the_role_or_the_account_after_signing_starts_nothing
    }
    forged {
        forged_buttons_get_a_friendly_answer_and_sign_nothing
        an_old_card_is_stale_after_the_plan_has_changed
        forged_forms_change_nothing
        a_zero_byte_in_a_text_breaks_nothing
        hostile_names_typed_in_forms_are_refused
        an_answer_goes_to_slack_or_nowhere_and_the_click_is_decided
    }
    floods {
        the_same_signed_bytes_two_hundred_times_are_one_decision
        a_healthy_click_is_answered_in_a_crowd_of_bad_ones
        random_changes_of_a_valid_click_never_break_it_nor_get_through
    }
    secrets {
        no_secret_is_in_anything_that_leaves_or_stays
    }
}
