//! `countersign migrate`: brings the tables up to date. The only way for PostgreSQL; safe to run three times at once.

use crate::config::Config;
use crate::store::{Options, Store};
use std::process::ExitCode;

pub(super) async fn run() -> anyhow::Result<ExitCode> {
    let config = Config::from_process()?;
    Store::migrate(config.database_url.expose(), Options::default()).await?;
    super::say("the database is up to date");
    Ok(ExitCode::SUCCESS)
}
