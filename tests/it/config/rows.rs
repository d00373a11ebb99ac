//! Every mistake, as ((what stands in the file, what stands there instead), what is told); and the same for variables.

#[rustfmt::skip]
pub const FILE_PROBLEMS: &[((&str, &str), &str)] = &[
    ((r#"team_id = "T0ACME""#, r#"team_id = "acme""#),
     r#"slack.team_id (line 3): "acme" is not a Slack id of the form T…
    Copy the workspace's id, T…, from the address bar of Slack in a browser."#),
    ((r#"team_id = "T0ACME""#, ""),
     "slack.team_id: it is missing
    Copy the workspace's id, T…, from the address bar of Slack in a browser."),
    ((r#"app_id = "A0COUNTER""#, "app_id = 7"),
     "slack.app_id (line 4): found a number, but this is a text in quotes
    Write a text in quotes; docs/configuration.md has an example."),
    ((r#""C0RELEASES""#, r##""#releases""##),
     r##"slack.releases_channel (line 5): "#releases" is not a Slack id of the form C… or G…
    Copy the id, C… or G…, from the end of the channel's details in Slack; a #name won't do."##),
    ((r#"admins = ["ann", "bob"]"#, ""),
     "slack.admins: it is missing
    Name two people of [people]: one proposes a change of the policy, another approves it."),
    ((r#"admins = ["ann", "bob"]"#, "admins = []"),
     "slack.admins (line 6): nobody is in this list
    Name two people of [people]: one proposes a change of the policy, another approves it."),
    ((r#"admins = ["ann", "bob"]"#, r#"admins = ["group:S0ADMINS"]"#),
     "slack.admins (line 6): a group can't be an admin
    Name people of [people]: who leads a Slack group is not Countersign's to check."),
    (("[escalation]", "[audit]\nfile = \"checkpoints\"\nchannel = \"#audit\"\n[escalation]"),
     r##"audit.channel (line 21): "#audit" is not a Slack id of the form C… or G…
    Copy the id, C… or G…, from the end of the channel's details in Slack; a #name won't do.
audit.file (line 20): it is not an absolute path
    Write the whole path, from / on."##),
    (("releases_channel", "message_gap_ms = 0
releases_channel"),
     "slack.message_gap_ms (line 5): 0 is outside the limits, 10 to 60000
    Choose a number of milliseconds between them."),
    (("releases_channel", "release_channel"),
     "slack.release_channel (line 5): there is no such key. Did you mean `releases_channel`?
    Known here: team_id, app_id, releases_channel, admins, message_gap_ms.
slack.releases_channel: it is missing
    Copy the id, C… or G…, from the end of the channel's details in Slack; a #name won't do."),
    (("[slack]", "[slak]
x = 1
[slack]"),
     "slak (line 2): there is no such key. Did you mean `slack`?
    Known here: slack, people, roles, mail, audit, escalation, services, policy."),
    (("[people]
", r#"[people]
"Big Ann" = { slack = "U0BIG" }
"#),
     r#"people."Big Ann" (line 8): this name can't be typed in a command
    Use lower-case letters, digits, - and _, at most 40 characters."#),
    ((r#"bob = { slack = "U0BOB" }"#, r#"bob = { slack = "bob" }"#),
     r#"people.bob.slack (line 9): "bob" is not a Slack id of the form U… or W…
    Copy the member id, U… or W…, from the person's profile in Slack."#),
    ((r#"bob = { slack = "U0BOB" }"#, r#"bob = { email = "bob@acme.test" }"#),
     "people.bob.slack: it is missing
    Copy the member id, U… or W…, from the person's profile in Slack."),
    ((r#"bob = { slack = "U0BOB" }"#, r#"bob = "U0BOB""#),
     "people.bob (line 9): found a text, but this is a section
    Write a section; docs/configuration.md has an example."),
    ((r#""U0BOB""#, r#""U0ANN""#),
     "people.bob.slack (line 9): ann and bob have the same Slack id
    One human is one entry: merge the two, or correct one of them."),
    ((r#"slack = "U0BOB""#, r#"slack = "U0BOB", jira = "acc-1""#),
     "people.bob.jira (line 9): ann and bob have the same Jira account id
    One human is one entry: merge the two, or correct one of them."),
    ((r#"slack = "U0BOB""#, r#"slack = "U0BOB", github = "Ann-Acme""#),
     "people.bob.github (line 9): ann and bob have the same GitHub login
    One human is one entry: merge the two, or correct one of them."),
    ((r#"slack = "U0BOB""#, r#"slack = "U0BOB", email = "ANN@acme.test""#),
     "people.bob.email (line 9): ann and bob have the same e-mail address
    One human is one entry: merge the two, or correct one of them."),
    ((r#"slack = "U0BOB""#, r#"slack = "U0BOB", email = "bob at acme""#),
     r#"people.bob.email (line 9): "bob at acme" is no e-mail address
    Correct it, or remove it."#),
    ((r#"slack = "U0BOB""#, r#"slack = "U0BOB", github = "bob acme""#),
     r#"people.bob.github (line 9): "bob acme" is no GitHub login
    Correct it, or remove it."#),
    ((r#"slack = "U0BOB""#, r#"slack = "U0BOB", jira = "acc 2""#),
     r#"people.bob.jira (line 9): "acc 2" is no Jira account id
    Correct it, or remove it."#),
    ((r#"tech_lead = ["ann", "bob"]"#, r#"tech_lead = ["ann", "bobb"]"#),
     r#"roles.tech_lead (line 15): "bobb" is not in [people]. Did you mean `bob`?
    Correct the name, or add [people.bobb]."#),
    ((r#"tech_lead = ["ann", "bob"]"#, r#"tech_lead = ["ann", "bob", "ann"]"#),
     "roles.tech_lead (line 15): ann is named twice
    Remove one of the two."),
    ((r#"tech_lead = ["ann", "bob"]"#, "tech_lead = []"),
     r#"roles.tech_lead (line 15): nobody is in this list
    Name people of [people], or a Slack user group as "group:S…"."#),
    ((r#"tech_lead = ["ann", "bob"]"#, ""),
     "services.pay.roles.tech_lead: nobody is in this role, and no release of pay can start without it
    Name somebody under roles.tech_lead, or under services.pay.roles.tech_lead."),
    ((r#"tech_lead = ["ann", "bob"]"#, r#"tech_lead = "ann""#),
     "roles.tech_lead (line 15): found a text, but this is a list in brackets
    Write a list in brackets; docs/configuration.md has an example."),
    ((r#"tech_lead = ["ann", "bob"]"#, r#"tech_lead = ["ann", 3]"#),
     "roles.tech_lead (line 15): found a number, but this is a text in quotes
    Write a text in quotes; docs/configuration.md has an example."),
    (("tech_lead", "tech_leads"),
     "roles.tech_leads (line 15): there is no such role. Did you mean `tech_lead`?
    The roles are: release_manager, deployment_engineer, qa_lead, product_owner, tech_lead, cto, cto_deputy, auditor.
services.pay.roles.tech_lead: nobody is in this role, and no release of pay can start without it
    Name somebody under roles.tech_lead, or under services.pay.roles.tech_lead."),
    ((r#""group:S0QA""#, r#""group:@qa""#),
     r#"roles.qa_lead (line 13): "@qa" is not the id of a Slack user group
    Copy the group's id, S…, from its page in Slack; a @handle won't do."#),
    ((r#""all@acme.test""#, r#""all""#),
     r#"mail.teams (line 18): "all" is not an e-mail address
    Write the bare address, such as "all-teams@example.com"."#),
    ((r#""all@acme.test""#, r#""all@acme.test", "ALL@acme.test""#),
     "mail.teams (line 18): ALL@acme.test is named twice
    Remove one of the two."),
    ((r#"command = ["/bin/page", "{summary}"]"#, ""),
     "escalation (line 19): it names neither a webhook nor a command
    Name one of them, or remove the section."),
    ((r#""/bin/page""#, r#""page""#),
     r#"escalation.command (line 20): it does not begin with the absolute path of a program
    Write it as ["/usr/local/bin/page", "{summary}"]."#),
    ((r#""{summary}""#, r#""{sumary}""#),
     "escalation.command (line 20): there is no `{sumary}`. Did you mean `summary`?
    Only `{summary}` is filled in."),
    ((r#"command = ["/bin/page", "{summary}"]"#, r#"webhook = "http://pager.acme.test/canary-hook""#),
     "escalation.webhook (line 20): this is no address that can be called
    Use https, or plain http on this machine."),
    ((r#"channel = "C0PAY""#, ""),
     "services.pay.channel: it is missing
    Copy the id, C… or G…, from the end of the channel's details in Slack; a #name won't do."),
    ((r#"channel = "C0PAY""#, r#"channel = "pay""#),
     r#"services.pay.channel (line 22): "pay" is not a Slack id of the form C… or G…
    Copy the id, C… or G…, from the end of the channel's details in Slack; a #name won't do."#),
    (("Europe/Berlin", "Europe/Berln"),
     r#"services.pay.time_zone (line 23): "Europe/Berln" is not a time zone. Did you mean `Europe/Berlin`?
    Name one of the IANA database, such as "Europe/Berlin"; abbreviations such as CEST won't do."#),
    (("Europe/Berlin", "CEST"),
     r#"services.pay.time_zone (line 23): "CEST" is not a time zone. Did you mean `CET`?
    Name one of the IANA database, such as "Europe/Berlin"; abbreviations such as CEST won't do."#),
    ((r#"channel = "C0PAY""#, r#"channel = "C0PAY"
repository = "https://ann:canary-git@git.acme.test/pay.git""#),
     "services.pay.repository (line 23): it holds a password or token
    Remove it, and let Git ask a credential helper or use an SSH key."),
    ((r#"channel = "C0PAY""#, r#"channel = "C0PAY"
repository = "--upload-pack=/bin/sh""#),
     "services.pay.repository (line 23): this is no place of a Git repository
    Write https://host/path.git, ssh://user@host/path.git, user@host:path, or an absolute path."),
    ((r#"channel = "C0PAY""#, r#"channel = "C0PAY"
repository = "ext::sh -c id""#),
     "services.pay.repository (line 23): this is no place of a Git repository
    Write https://host/path.git, ssh://user@host/path.git, user@host:path, or an absolute path."),
    ((r#"channel = "C0PAY""#, r#"channel = "C0PAY"
depends_on = ["ledger"]"#),
     r#"services.pay.depends_on (line 23): there is no service "ledger".
    Correct the name, or add the service."#),
    ((r#"channel = "C0PAY""#, r#"channel = "C0PAY"
depends_on = ["pay"]"#),
     "services.pay.depends_on: the services depend on each other in a circle: pay → pay
    Remove one of these dependencies."),
    ((r#"channel = "C0PAY""#, r#"channel = "C0PAY"
roles.qa_lead = ["cid"]"#),
     r#"services.pay.roles.qa_lead (line 23): "cid" is not in [people].
    Correct the name, or add [people.cid]."#),
    ((r#"channel = "C0PAY""#, r#"channel = "C0PAY"
stakeholders = ["x"]"#),
     r#"services.pay.stakeholders (line 23): "x" is not an e-mail address
    Write the bare address, such as "all-teams@example.com"."#),
    (("environments.production", "environments.staging"),
     r#"services.pay.environments.production: it is missing
    Say how production is deployed: `executor = "script"`, `program`, `arguments`, `timeout`."#),
    ((r#"executor = "script""#, ""),
     "services.pay.environments.production.executor: it is missing
    Known executors: script."),
    ((r#"executor = "script""#, r#"executor = "scrpt""#),
     r#"services.pay.environments.production.executor (line 25): there is no executor "scrpt". Did you mean `script`?
    Known executors: script."#),
    ((r#"program = "/srv/pay.sh""#, ""),
     "services.pay.environments.production.program: it is missing
    Name the deployment script by its absolute path."),
    ((r#""{version}""#, r#""{verson}""#),
     "services.pay.environments.production.arguments (line 27): there is no `{verson}`. Did you mean `version`?
    Known are {version}, {commit}, {release}, {environment}, {attempt}."),
    ((r#""{version}""#, r#""{version""#),
     "services.pay.environments.production.arguments (line 27): a brace has no partner
    Write {{ or }} for a brace that is meant as such."),
    ((r#""{version}""#, r#""a\u0000b""#),
     "services.pay.environments.production.arguments (line 27): the text is blank or holds control characters
    Write a visible text on one line, or remove it."),
    (("program", r#"timeout = "15 minutes"
program"#),
     r#"services.pay.environments.production.timeout (line 26): "15 minutes" is not a length of time: write a whole number and s, m, h or d
    Write a time that the slowest deployment stays under, such as "15m"."#),
    (("program", r#"timeout = "2d"
program"#),
     r#"services.pay.environments.production.timeout (line 26): "2d" is outside the limits, 10s to 24h
    Write a time that the slowest deployment stays under, such as "15m"."#),
    (("program", r#"working_directory = "deploy"
program"#),
     "services.pay.environments.production.working_directory (line 26): it is not an absolute path
    Write the whole path, from / on."),
    (("program", r#"pass_environment = ["SLACK_BOT_TOKEN"]
program"#),
     "services.pay.environments.production.pass_environment (line 26): SLACK_BOT_TOKEN is the bot's own and never passed on
    Remove it; give the script a secret of its own."),
    (("program", r#"pass_environment = ["A B"]
program"#),
     r#"services.pay.environments.production.pass_environment (line 26): "A B" is not the name of a variable
    Write the name alone, such as "PATH"."#),
    (("program", "output_tail_bytes = 1
program"),
     "services.pay.environments.production.output_tail_bytes (line 26): 1 is outside the limits, 65536 to 67108864
    Choose a number of bytes between them."),
    (("program", "output_head_bytes = -1
program"),
     "services.pay.environments.production.output_head_bytes (line 26): this is not a whole number, zero or more
    Write digits without quotes, such as 1048576."),
    (("program", r#"timout = "15m"
program"#),
     "services.pay.environments.production.timout (line 26): there is no such key. Did you mean `timeout`?
    Known here: executor, program, arguments, timeout, working_directory, pass_environment, output_head_bytes, output_tail_bytes."),
    (("", r#"[policy.rules.signoff.tech-lead]
mode = "owe""#),
     r#"policy.rules.signoff (line 28): this is not a rule with its settings
    Write it as a section of its own, the rule's id in quotes: [policy.rules."signoff.tech-lead"]."#),
    (("", r#"[policy.rules."signoff.tech-leed"]
mode = "owe""#),
     r#"policy.rules."signoff.tech-leed" (line 28): there is no rule `signoff.tech-leed`; docs/rulebook.md lists them
    Correct it, or remove it: the procedure's own value holds then."#),
    (("", r#"[policy.rules."signoff.tech-lead"]
mode = "sometimes""#),
     r#"policy.rules."signoff.tech-lead".mode (line 29): must be "block", "block_then_owe" or "owe"
    Correct it, or remove it: the procedure's own value holds then."#),
    (("", r#"[policy.rules."signoff.tech-lead"]
within = 2026-01-01"#),
     r#"policy.rules."signoff.tech-lead" (line 28): it holds a date, or a number that is infinite or too large
    Write texts, numbers, true or false, lists and tables."#),
    (("", r#"[policy.services.legder."criteria.docs"]
minor = "off""#),
     r#"policy.services.legder (line 28): there is no such service
    Name a service of [services], or remove it.
policy.services.legder."criteria.docs" (line 28): asks for less than the procedure does (4.3): say why in `reason`
    Correct it, or remove it: the procedure's own value holds then."#),
    (("", r#"[policy.rules."signoff.cto"]
emergency = "show""#),
     r#"policy.rules."signoff.cto".emergency (line 29): what `signoff.cto` does can't be changed
    Correct it, or remove it: the procedure's own value holds then."#),
    (("", "[policy]
rule = 1"),
     "policy.rule (line 29): there is no such key. Did you mean `rules`?
    Known here: rules, services."),
    (("[mail]", "[mail
"),
     "the configuration file (line 17): this is not TOML: unclosed table, expected `]`
    Mend the notation there; the rest of the file is judged once it can be read."),
];

#[rustfmt::skip]
pub const VARIABLE_PROBLEMS: &[(&[(&str, &str)], &str)] = &[
    (&[("SLACK_BOT_TOKEN", "")],
     r#"SLACK_BOT_TOKEN: it is not set, or blank
    Copy the bot token from the Slack app's page "OAuth & Permissions". SLACK_BOT_TOKEN_FILE may name a file that holds it."#),
    (&[("SLACK_BOT_TOKEN", "xoxp-canary-0123456789")],
     "SLACK_BOT_TOKEN: this is no such token: one begins with `xoxb-` and has no spaces
    Copy the token again; another kind of token was pasted, or a part of it."),
    (&[("SLACK_SIGNING_SECRET", "  ")],
     r#"SLACK_SIGNING_SECRET: it is not set, or blank
    Copy the signing secret from the Slack app's page "Basic Information". SLACK_SIGNING_SECRET_FILE may name a file that holds it."#),
    (&[("SLACK_SIGNING_SECRET", "canary")],
     "SLACK_SIGNING_SECRET: it is shorter than 16 characters or holds spaces
    Copy the whole signing secret: anybody who guesses it can sign releases."),
    (&[("SLACK_SIGNING_SECRET_PREVIOUS", "canary")],
     "SLACK_SIGNING_SECRET_PREVIOUS: it is shorter than 16 characters or holds spaces
    Copy the whole signing secret: anybody who guesses it can sign releases."),
    (&[("SLACK_APP_TOKEN", "canary")],
     "SLACK_APP_TOKEN: this is no such token: one begins with `xapp-` and has no spaces
    Copy the token again; another kind of token was pasted, or a part of it."),
    (&[("SLACK_API_URL", "http://slack.acme.test/api")],
     "SLACK_API_URL: this is no address that the bot's token may be sent to
    Use https, or plain http on 127.0.0.1, [::1] or localhost, without user, password or query."),
    (&[("SLACK_API_URL", "https://user:canary@slack.com/api")],
     "SLACK_API_URL: this is no address that the bot's token may be sent to
    Use https, or plain http on 127.0.0.1, [::1] or localhost, without user, password or query."),
    (&[("SLACK_API_URL", "slack.com")],
     "SLACK_API_URL: this is no address that the bot's token may be sent to
    Use https, or plain http on 127.0.0.1, [::1] or localhost, without user, password or query."),
    (&[("DATABASE_URL", "mysql://u:canary@db/x")],
     "DATABASE_URL: it is neither sqlite: nor postgres://
    Write `sqlite:PATH` or `postgres://user:password@host/database`."),
    (&[("DATABASE_URL", "sqlite::memory:")],
     "DATABASE_URL: a database in memory would forget every decision
    Write `sqlite:PATH` or `postgres://user:password@host/database`."),
    (&[("DATABASE_URL", "sqlite:a.db?mode=memory")],
     "DATABASE_URL: nothing may follow the path: how SQLite is opened is not yours to set
    Write `sqlite:PATH` or `postgres://user:password@host/database`."),
    (&[("DATABASE_URL", "postgres://u:canary@")],
     "DATABASE_URL: this is not an address
    Write `sqlite:PATH` or `postgres://user:password@host/database`."),
    (&[("COUNTERSIGN_LISTEN", "localhost:3000")],
     r#"COUNTERSIGN_LISTEN: "localhost:3000" is not an IP address with a port
    Write it as 127.0.0.1:3000, [::1]:3000 or 0.0.0.0:3000."#),
    (&[("COUNTERSIGN_METRICS_LISTEN", "127.0.0.1:3000")],
     "COUNTERSIGN_METRICS_LISTEN: it is the same address as COUNTERSIGN_LISTEN
    Choose another port, or remove it: /metrics is then served beside the rest."),
    (&[("COUNTERSIGN_CHECKPOINT_KEY", "canary")],
     "COUNTERSIGN_CHECKPOINT_KEY: it is not 32 bytes in base64, which have 44 characters
    Copy the whole key, or make one: countersign audit keygen --output FILE"),
    (&[("SMTP_FROM", "")],
     "SMTP_FROM: it is not set, but SMTP_URL is
    Name the sender, such as `Countersign <countersign@example.com>`, or remove SMTP_URL."),
    (&[("SMTP_URL", "")],
     "SMTP_URL: it is not set, but SMTP_FROM is
    Name the mail server, such as `smtps://user:password@host`, or remove SMTP_FROM."),
    (&[("SMTP_FROM", "bot")],
     "SMTP_FROM: this is not an e-mail address
    Write `countersign@example.com` or `Countersign <countersign@example.com>`."),
    (&[("SMTP_URL", "http://canary")],
     "SMTP_URL: it is neither smtp:// nor smtps://
    Write `smtps://user:password@host`, or `smtp://user:password@host?tls=required` for STARTTLS."),
    (&[("SMTP_URL", "smtp://bot:canary@mail.acme.test")],
     "SMTP_URL: the password would travel unencrypted
    Write `smtps://user:password@host`, or `smtp://user:password@host?tls=required` for STARTTLS."),
    (&[("SMTP_URL", "smtps://bot@mail.acme.test")],
     "SMTP_URL: user and password belong together
    Write `smtps://user:password@host`, or `smtp://user:password@host?tls=required` for STARTTLS."),
    (&[("SMTP_URL", "smtps://bot:canary@mail.acme.test?tls=none")],
     "SMTP_URL: it asks for something unknown: only `?tls=required` on smtp:// is read
    Write `smtps://user:password@host`, or `smtp://user:password@host?tls=required` for STARTTLS."),
    (&[("SMTP_URL", "smtps://mail.acme.test/canary")],
     "SMTP_URL: it goes on after the host
    Write `smtps://user:password@host`, or `smtp://user:password@host?tls=required` for STARTTLS."),
    (&[("SMTP_URL", "smtps://")],
     "SMTP_URL: it names no host
    Write `smtps://user:password@host`, or `smtp://user:password@host?tls=required` for STARTTLS."),
    (&[("SLACK_BOT_TOKEN_FILE", "/nowhere/token")],
     "SLACK_BOT_TOKEN: both SLACK_BOT_TOKEN and SLACK_BOT_TOKEN_FILE are set
    Keep one of them; the program won't guess which is current."),
    (&[("SLACK_BOT_TOKEN", ""), ("SLACK_BOT_TOKEN_FILE", "/nowhere/token")],
     "SLACK_BOT_TOKEN_FILE: /nowhere/token: the file can't be read (No such file or directory (os error 2))
    Check the path, and that the bot's user owns the file."),
];

#[rustfmt::skip]
pub const FILE_WARNINGS: &[((&str, &str), &str)] = &[
    ((r#"admins = ["ann", "bob"]"#, r#"admins = ["ann"]"#),
     "slack.admins (line 6): ann is the only admin, and nobody approves their own change of the policy
    Name a second person."),
    ((r#"tech_lead = ["ann", "bob"]"#, r#"tech_lead = ["ann"]"#),
     "roles.tech_lead: ann is alone in this role: while ann is away, nobody decides
    Name a second person, or a group."),
    ((r#"cto = ["group:S0CTO"]"#, r#"cto = ["ann"]"#),
     "roles.cto: ann is alone in this role: while ann is away, nobody decides
    Name a deputy under roles.cto_deputy."),
    ((r#""C0PAY""#, r#""C0RELEASES""#),
     "services.pay.channel (line 22): it is the releases channel as well: cards and announcements mix
    Give the service a channel of its own."),
    ((r#"time_zone = "Europe/Berlin""#, ""),
     r#"services.pay.time_zone: it is missing: times are shown and due dates counted in UTC
    Name an IANA time zone, such as "Europe/Berlin"."#),
    ((r#""/srv/pay.sh""#, r#""./pay.sh""#),
     "services.pay.environments.production.program (line 26): it is not an absolute path, and no working_directory is set: it is taken from /etc/countersign
    Write the absolute path, or set working_directory."),
    ((r#"teams = ["all@acme.test"]"#, ""),
     r#"mail.teams: no address reaches all teams: an emergency whose notice fails in Slack has no second way to them
    Name the address of a list, such as "all-teams@example.com"."#),
    (("[escalation]", "[audit]\nfile = \"/var/log/checkpoints\"\n[escalation]"),
     "audit: no checkpoint is made: COUNTERSIGN_CHECKPOINT_KEY is not set
    Make a key: countersign audit keygen --output FILE. Then set COUNTERSIGN_CHECKPOINT_KEY_FILE=FILE."),
    ((r#"[escalation]
command = ["/bin/page", "{summary}"]
"#, ""),
     "escalation: nobody is rung when the notice of an emergency is not confirmed in Slack
    Add [escalation] with a webhook or a command."),
    ((r#"channel = "C0PAY""#, r#"channel = "C0PAY"
roles.product_owner = ["ann"]
roles.qa_lead = ["ann"]"#),
     "services.pay.roles: ann is the only product_owner and the only qa_lead of pay, and one person signs once per release
    Name a second person in one of the two roles.
services.pay.roles.qa_lead: ann is alone in this role: while ann is away, nobody decides
    Name a second person, or a group.
services.pay.roles.product_owner: ann is alone in this role: while ann is away, nobody decides
    Name a second person, or a group."),
];

#[rustfmt::skip]
pub const VARIABLE_WARNINGS: &[(&[(&str, &str)], &str)] = &[
    (&[("SMTP_URL", ""), ("SMTP_FROM", "")],
     "SMTP_URL: no mail is sent: an emergency whose notice fails in Slack has no second way to all teams
    Set SMTP_URL and SMTP_FROM."),
    (&[("COUNTERSIGN_CHECKPOINT_KEY", "canarycanarycanarycanarycanarycanarycanaryA=")],
     "COUNTERSIGN_CHECKPOINT_KEY: no checkpoint is made: [audit] names no place for one
    Set audit.file, audit.channel or audit.witnesses."),
    (&[("COUNTERSIGN_LISTN", "x")],
     "COUNTERSIGN_LISTN: no such variable is read. Did you mean `COUNTERSIGN_LISTEN`?
    Correct the name, or remove it."),
];
