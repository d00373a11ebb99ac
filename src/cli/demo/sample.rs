//! The demo's two services: real Git repositories with tags, and real deployment scripts, one that succeeds and one
//! that fails when told to.

use anyhow::{Context as _, ensure};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::process::Command;

const PAYMENTS: &str = r#"#!/bin/sh
# Deploys payments: says what it does, takes a few seconds, succeeds.
set -eu
echo "Deploying payments $COUNTERSIGN_VERSION ($COUNTERSIGN_COMMIT) to $COUNTERSIGN_ENVIRONMENT"
echo "Attempt $COUNTERSIGN_ATTEMPT, fence $COUNTERSIGN_FENCE, arguments: $*"
for step in "uploading the artifact" "draining one half" "switching it over" "draining the other half" "switching it over"; do
    echo "- $step"
    sleep 1
done
echo "$COUNTERSIGN_VERSION" > deployed
echo "payments $COUNTERSIGN_VERSION is live"
"#;

const LEDGER: &str = r#"#!/bin/sh
# Deploys ledger: fails for versions that end with -fails, and while a file named FAIL stands beside it.
set -eu
echo "Deploying ledger $COUNTERSIGN_VERSION to $COUNTERSIGN_ENVIRONMENT"
sleep 2
case "$COUNTERSIGN_VERSION" in *-fails) echo "health check failed: 503 from ledger-2" >&2; exit 3;; esac
if [ -e FAIL ]; then echo "told to fail by the file FAIL" >&2; exit 4; fi
echo "$COUNTERSIGN_VERSION" > deployed
echo "ledger $COUNTERSIGN_VERSION is live"
"#;

const CONFIG: &str = r#"# The demo's configuration, written by `countersign demo`.
[slack]
team_id = "T0ACME"
app_id = "A0COUNTER"
releases_channel = "C0RELEASES"
admins = ["tom"]

[people.rita]
slack = "U0RITA"
[people.priya]
slack = "U0PRIYA"
[people.theo]
slack = "U0THEO"
[people.tina]
slack = "U0TINA"
[people.cleo]
slack = "U0CLEO"
[people.vera]
slack = "U0VERA"
[people.dev]
slack = "U0DEV"
[people.tom]
slack = "U0TOM"

[roles]
release_manager = ["rita"]
deployment_engineer = ["dev"]
product_owner = ["priya"]
qa_lead = ["group:S0QALEADS"]
tech_lead = ["theo", "tina"]
cto = ["cleo"]
cto_deputy = ["vera"]

[mail]
teams = ["all-teams@acme.example"]

[escalation]
command = ["/bin/sh", "-c", "printf '%s\\n' \"$1\" >> 'FOLDER/pages.log'", "page", "{summary}"]
"#;

const SERVICE: &str = r#"
[services.NAME]
channel = "CHANNEL"
repository = "file://FOLDER/NAME/repository"
time_zone = "Europe/Berlin"

[services.NAME.environments.production]
executor = "script"
program = "./deploy.sh"
working_directory = "FOLDER/NAME"
arguments = ["--environment", "{environment}", "--version", "{version}"]
timeout = "5m"
"#;

/// Writes the services, and the configuration with the whole `procedure` or only its sign-offs.
pub(super) async fn write(folder: &Path, procedure: bool) -> anyhow::Result<()> {
    let path = folder.to_str().context("the demo's folder must have a name in UTF-8")?;
    fs::create_dir_all(folder.join("data"))?;
    let services = [
        (
            "payments",
            "C0PAYMENTS",
            PAYMENTS,
            ["v1.3.9", "v1.4.0", "v1.4.1"].as_slice(),
        ),
        ("ledger", "C0LEDGER", LEDGER, ["v2.1.0", "v2.1.1-fails"].as_slice()),
    ];
    let mut config = CONFIG.replace("FOLDER", path);
    for (name, channel, script, tags) in services {
        config.push_str(
            &SERVICE
                .replace("NAME", name)
                .replace("CHANNEL", channel)
                .replace("FOLDER", path),
        );
        write_service(&folder.join(name), name, script, tags).await?;
    }
    if !procedure {
        config.push_str(include_str!("signatures_only.toml"));
    }
    fs::write(folder.join("countersign.toml"), config)?;
    Ok(())
}

async fn write_service(folder: &Path, name: &str, script: &str, tags: &[&str]) -> anyhow::Result<()> {
    let repository = folder.join("repository");
    fs::create_dir_all(&repository)?;
    let deploy = folder.join("deploy.sh");
    fs::write(&deploy, script)?;
    fs::set_permissions(&deploy, Permissions::from_mode(0o755))?;
    if repository.join(".git").exists() {
        return Ok(());
    }
    git(&repository, &["init", "--quiet", "--initial-branch=main"]).await?;
    for tag in tags {
        fs::write(repository.join("VERSION"), format!("{name} {tag}\n"))?;
        git(&repository, &["add", "VERSION"]).await?;
        git(
            &repository,
            &["commit", "--quiet", "-m", &format!("PAY-101: Prepare {name} {tag}")],
        )
        .await?;
        git(&repository, &["tag", "-a", "-m", tag, tag]).await?;
    }
    Ok(())
}

async fn git(repository: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("git")
        .current_dir(repository)
        .args([
            "-c",
            "user.name=Mia",
            "-c",
            "user.email=mia@acme.test",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(["-c", "tag.gpgsign=false"])
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .status()
        .await
        .context("the demo needs git on the PATH")?;
    ensure!(status.success(), "git {} ended with {status}", arguments.join(" "));
    Ok(())
}
