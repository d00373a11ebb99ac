//! `countersign playground`: the Slack workspace in a box, in a process of its own, so that the bot can be killed beside it.

use clap::Args;
use playground::{CommandHint, Options, Workspace};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where the page and the API are served; loopback only.
    #[arg(long)]
    listen: SocketAddr,
    /// Where mail is taken for the mailbox on the page; loopback only.
    #[arg(long)]
    mail: Option<SocketAddr>,
    /// Where the bot answers.
    #[arg(long)]
    bot: String,
    /// The file through which the bot follows the clock.
    #[arg(long)]
    clock_file: PathBuf,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    crate::telemetry::start_logs(false)?;
    let handle = playground::start(Options {
        address: arguments.listen,
        mail_address: arguments.mail,
        bot_urls: vec![arguments.bot],
        clock_file: Some(arguments.clock_file),
        commands: hints(),
        steps: steps(),
        ..Options::new(Workspace::demo().with_scopes(crate::config::slack_app::scopes()))
    })
    .await?;
    handle.wait().await;
    Ok(ExitCode::SUCCESS)
}

fn hints() -> Vec<CommandHint> {
    crate::slack::verbs::available()
        .map(|verb| CommandHint::new(&format!("/release {}", verb.name), verb.usage, verb.help))
        .collect()
}

/// What a newcomer tries, in order; see `docs/guide.md`.
fn steps() -> Vec<String> {
    [
        "*A planned release.* You are Rita (top left). In #payments: `/release plan REL-789 payments v1.4.0`. Author: Mia; “none” is an answer.",
        "Become Priya, then Quinn: open the direct message from Countersign and press the green button.",
        "As Dev: press *Deploy* on the card in #payments. Watch the card, its thread and #releases.",
        "*A hotfix.* As Theo, in #payments: `/release hotfix payments v1.4.1`. Say why in at least 20 characters; author: Mia.",
        "As Tina, press *Approve v1.4.1* in the direct message. As Cleo, one click on *Deploy v1.4.1 now*; the notice is in #releases.",
        "*When it fails.* The same with `/release plan REL-790 ledger v2.1.1-fails`: the card and #releases say so.",
        "*An outage.* As Theo, `/release hotfix ledger v2.1.0`. As Cleo, approve; switch Slack off; +15 min, it starts; +1 h: look into *All-teams mailbox*; Slack on: a breach.",
        "*Ask.* `/release why REL-789`, `/release audit REL-789`, `/release aprove REL-789`. Try to approve your own release.",
    ]
    .map(str::to_owned)
    .to_vec()
}
