//! `countersign migrate`: brings the tables up to date. The only way for PostgreSQL; safe to run three times at once.

use crate::app::database_url;
use crate::config::StorePlace;
use crate::store::{Options, Store};
use std::process::ExitCode;

pub(super) async fn run() -> anyhow::Result<ExitCode> {
    let url = database_url(&StorePlace::from_process()?);
    Store::migrate(&url, Options::default()).await?;
    super::say("the database is up to date");
    Ok(ExitCode::SUCCESS)
}
