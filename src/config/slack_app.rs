//! What the Slack app asks of a workspace. `manifest.yml` is held against this, so that no permission is asked for
//! without a reason that stands here.

/// Every permission of the bot, with what it is needed for.
pub const SCOPES: &[(&str, &str)] = &[
    ("commands", "the command /release"),
    ("chat:write", "cards, announcements and private answers"),
    ("users:read", "whether a signer is active, human and no guest"),
    ("usergroups:read", "who is in a group that fills a role"),
    ("channels:read", "whether a channel is shared with another company"),
    ("groups:read", "the same, for private channels"),
    (
        "channels:history",
        "reading an announcement back, to know that it was posted",
    ),
    ("groups:history", "the same, for private channels"),
    ("im:write", "direct messages: requests for a signature, and reminders"),
];

/// The names of [`SCOPES`]: what the token of the manifest's app may do, in the playground too.
pub fn scopes() -> impl Iterator<Item = &'static str> {
    SCOPES.iter().map(|(scope, _)| *scope)
}

/// The one slash command.
pub const SLASH_COMMAND: &str = "/release";

/// What Slack shows while the command is typed.
pub const USAGE_HINT: &str = "approve REL-789 | status REL-789 | plan | hotfix | help";
