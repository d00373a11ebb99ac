//! Starts the demo workspace alone: `standalone [port] [bot url]…`.
//! For driving the wire by hand or from other languages; the bot's own `demo` verb does more.

use std::net::SocketAddr;

use playground::{CommandHint, Options, Workspace, start};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().map_or(Ok(4003), |port| port.parse())?;
    let mut options = Options::new(Workspace::demo());
    options.address = SocketAddr::from(([127, 0, 0, 1], port));
    options.bot_urls = arguments.collect();
    options.commands = vec![
        CommandHint::new("/release plan", "[service] [version]", "Plan a release"),
        CommandHint::new("/release status", "[release]", "What is going on"),
        CommandHint::new("/release help", "", "What the bot can do"),
    ];
    options.steps = vec![
        "As *Rita*, type `/release plan` in #releases.".to_owned(),
        "Switch to *Priya* and approve in the direct message.".to_owned(),
        "Move the clock forward and watch the card.".to_owned(),
    ];
    let playground = start(options).await?;
    #[allow(clippy::print_stdout)] // Whoever starts this waits for the address.
    {
        println!("{}", playground.url());
    }
    playground.wait().await;
    Ok(())
}
