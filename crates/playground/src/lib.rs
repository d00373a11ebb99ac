//! A Slack workspace in a box.
