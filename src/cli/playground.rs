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
        bot_urls: vec![arguments.bot],
        clock_file: Some(arguments.clock_file),
        commands: hints(),
        steps: steps(),
        ..Options::new(Workspace::demo())
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
        "*A planned release.* As Rita, in #payments: `/release plan REL-789 payments v1.4.0`. Fill in the form; authors: Mia.",
        "As Priya and as Quinn: open the direct message from Countersign and approve. Or type `/release approve REL-789`.",
        "As Dev: press *Deploy* on the card in #payments, or type `/release deploy REL-789`. Watch the card, its thread and #releases.",
        "*A hotfix.* As Theo: `/release hotfix payments v1.4.1`. Authors: Mia. Say why in at least 20 characters.",
        "As Tina, approve as tech lead. As Cleo, one click on *Deploy now*: it runs, and the notice stands in #releases.",
        "*When it fails.* Plan `/release plan REL-790 ledger v2.1.1-fails`: its script fails. The card and #releases say so.",
        "*An outage.* Switch Slack off, start a hotfix before that, move the clock: the notice ladder, and the breach at 60 minutes.",
        "*Ask.* `/release why REL-789`, `/release audit REL-789`, `/release aprove REL-789`. Try to approve your own release.",
    ]
    .map(str::to_owned)
    .to_vec()
}
