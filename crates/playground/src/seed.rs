//! What a workspace starts with: people, channels, user groups and the bot's identity.
//! Only data; must not know about HTTP or about messages.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// A person (or bot) with every flag Slack's `users.info` carries.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // They are Slack's flags, one by one.
pub struct User {
    /// `U…` id.
    pub id: String,
    /// Handle, as in `@rita`.
    pub name: String,
    /// Name shown next to messages.
    pub real_name: String,
    /// Job title, shown under the name.
    pub title: String,
    /// Mail address; `None` for people whose address Slack hides.
    pub email: Option<String>,
    /// Workspace the account belongs to; differs for people of other organisations.
    pub team_id: String,
    /// IANA zone.
    pub tz: String,
    /// Seconds east of UTC.
    pub tz_offset: i32,
    /// Deactivated account.
    pub deleted: bool,
    /// A bot account.
    pub is_bot: bool,
    /// An account that acts for an app.
    pub is_app_user: bool,
    /// Multi-channel guest.
    pub is_restricted: bool,
    /// Single-channel guest.
    pub is_ultra_restricted: bool,
    /// Somebody of another workspace.
    pub is_stranger: bool,
    /// Invited and not yet joined.
    pub is_invited_user: bool,
    /// Workspace admin.
    pub is_admin: bool,
    /// `enterprise_user` object of Enterprise Grid, passed through as it is.
    pub enterprise_user: Option<Value>,
}

impl User {
    /// An ordinary full member of the default workspace.
    pub fn member(id: &str, name: &str, real_name: &str, title: &str) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            real_name: real_name.into(),
            title: title.into(),
            email: Some(format!("{name}@acme.example")),
            team_id: DEFAULT_TEAM_ID.into(),
            tz: "Europe/Berlin".into(),
            tz_offset: 3_600,
            deleted: false,
            is_bot: false,
            is_app_user: false,
            is_restricted: false,
            is_ultra_restricted: false,
            is_stranger: false,
            is_invited_user: false,
            is_admin: false,
            enterprise_user: None,
        }
    }

    /// The `user` object of `users.info` and `users.list`.
    pub(crate) fn to_json(&self) -> Value {
        let mut user = json!({
            "id": self.id, "team_id": self.team_id, "name": self.name, "deleted": self.deleted,
            "color": "4bbe2e", "real_name": self.real_name, "tz": self.tz,
            "tz_label": self.tz, "tz_offset": self.tz_offset,
            "profile": {
                "title": self.title, "phone": "", "skype": "", "real_name": self.real_name,
                "real_name_normalized": self.real_name, "display_name": self.name,
                "display_name_normalized": self.name, "status_text": "", "status_emoji": "",
                "status_expiration": 0, "avatar_hash": "g0123456789a", "first_name": self.real_name,
                "last_name": "", "team": self.team_id,
            },
            "is_admin": self.is_admin, "is_owner": false, "is_primary_owner": false,
            "is_restricted": self.is_restricted, "is_ultra_restricted": self.is_ultra_restricted,
            "is_bot": self.is_bot, "is_app_user": self.is_app_user, "updated": 1_700_000_000,
            "is_email_confirmed": true, "who_can_share_contact_card": "EVERYONE",
        });
        if let Some(email) = &self.email {
            user["profile"]["email"] = json!(email);
        }
        if self.is_stranger {
            user["is_stranger"] = json!(true);
        }
        if self.is_invited_user {
            user["is_invited_user"] = json!(true);
        }
        if let Some(enterprise) = &self.enterprise_user {
            user["enterprise_user"] = enterprise.clone();
        }
        user
    }
}

/// A channel, private channel or direct message.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // They are Slack's flags, one by one.
pub struct Channel {
    /// `C…` id (`D…` for direct messages).
    pub id: String,
    /// Name without `#`.
    pub name: String,
    /// Line under the name.
    pub topic: String,
    /// People (and possibly the bot) in it.
    pub members: BTreeSet<String>,
    /// Archived: nobody can post.
    pub is_archived: bool,
    /// Private channel.
    pub is_private: bool,
    /// Shared with another workspace.
    pub is_shared: bool,
    /// Shared with another organisation (Slack Connect).
    pub is_ext_shared: bool,
    /// A Slack Connect invitation is open.
    pub is_pending_ext_shared: bool,
    /// Shared inside one Enterprise Grid organisation.
    pub is_org_shared: bool,
    /// For a direct message: the person the bot talks to.
    pub im_user: Option<String>,
}

impl Channel {
    /// A public channel nobody is in yet.
    pub fn public(id: &str, name: &str, topic: &str) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            topic: topic.into(),
            members: BTreeSet::new(),
            is_archived: false,
            is_private: false,
            is_shared: false,
            is_ext_shared: false,
            is_pending_ext_shared: false,
            is_org_shared: false,
            im_user: None,
        }
    }

    pub(crate) fn direct(id: &str, user: &str, bot: &str) -> Self {
        let mut channel = Self::public(id, "directmessage", "");
        channel.members = BTreeSet::from([user.to_owned(), bot.to_owned()]);
        channel.im_user = Some(user.to_owned());
        channel
    }

    /// The `channel` object of `conversations.info` and `conversations.list`.
    pub(crate) fn to_json(&self, bot_user_id: &str, team_id: &str) -> Value {
        if let Some(user) = &self.im_user {
            return json!({
                "id": self.id, "created": 1_700_000_000, "is_archived": false, "is_im": true,
                "is_org_shared": false, "user": user, "is_user_deleted": false, "priority": 0.0,
                "context_team_id": team_id,
            });
        }
        json!({
            "id": self.id, "name": self.name, "name_normalized": self.name,
            "is_channel": !self.is_private, "is_group": self.is_private, "is_im": false,
            "is_mpim": false, "is_private": self.is_private, "created": 1_700_000_000,
            "is_archived": self.is_archived, "is_general": false, "unlinked": 0,
            "is_shared": self.is_shared, "is_org_shared": self.is_org_shared,
            "is_ext_shared": self.is_ext_shared,
            "is_pending_ext_shared": self.is_pending_ext_shared, "pending_shared": [],
            "context_team_id": team_id, "updated": 1_700_000_000_000_u64,
            "creator": "U0TOM", "shared_team_ids": [team_id],
            "is_member": self.members.contains(bot_user_id),
            "topic": {"value": self.topic, "creator": "U0TOM", "last_set": 1_700_000_000},
            "purpose": {"value": "", "creator": "", "last_set": 0}, "previous_names": [],
            "num_members": self.members.len(),
        })
    }
}

/// A user group (`@qa-leads`).
#[derive(Debug, Clone)]
pub struct Group {
    /// `S…` id.
    pub id: String,
    /// Handle without `@`.
    pub handle: String,
    /// Display name.
    pub name: String,
    /// Members in order.
    pub users: Vec<String>,
    /// Switched off by an admin (`date_delete` is then set).
    pub disabled: bool,
}

impl Group {
    /// An enabled group.
    pub fn new(id: &str, handle: &str, name: &str, users: &[&str]) -> Self {
        Self {
            id: id.into(),
            handle: handle.into(),
            name: name.into(),
            users: users.iter().map(|&user| user.to_owned()).collect(),
            disabled: false,
        }
    }

    /// The `usergroup` object of `usergroups.list`.
    pub(crate) fn to_json(&self, team_id: &str, with_users: bool, with_count: bool) -> Value {
        let mut group = json!({
            "id": self.id, "team_id": team_id, "is_usergroup": true, "is_subteam": true,
            "name": self.name, "description": "", "handle": self.handle, "is_external": false,
            "date_create": 1_700_000_000, "date_update": 1_700_000_000,
            "date_delete": if self.disabled { 1_700_000_001 } else { 0 },
            "auto_type": null, "auto_provision": false, "enterprise_subteam_id": "",
            "created_by": "U0TOM", "updated_by": "U0TOM", "deleted_by": null,
            "prefs": {"channels": [], "groups": []}, "user_count": self.users.len(),
        });
        if with_users {
            group["users"] = json!(self.users);
        }
        if with_count {
            group["channel_count"] = json!(0);
        }
        group
    }
}

/// Team id of the default workspace.
pub const DEFAULT_TEAM_ID: &str = "T0ACME";

/// Everything a workspace starts with.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// `T…` id.
    pub team_id: String,
    /// Name shown in the sidebar.
    pub team_name: String,
    /// `{domain}.slack.com`.
    pub domain: String,
    /// `A…` id of the app.
    pub app_id: String,
    /// `U…` id of the bot user; it must be among `users` or is added at start.
    pub bot_user_id: String,
    /// `B…` id of the bot.
    pub bot_id: String,
    /// Name the bot's messages carry.
    pub bot_name: String,
    /// The only token the API accepts.
    pub bot_token: String,
    /// Secret the deliveries are signed with.
    pub signing_secret: String,
    /// What the token may do; everything if it isn't said.
    pub scopes: Option<BTreeSet<String>>,
    /// The legacy verification token inside payloads; bots must not rely on it.
    pub verification_token: String,
    /// People.
    pub users: Vec<User>,
    /// Channels.
    pub channels: Vec<Channel>,
    /// User groups.
    pub groups: Vec<Group>,
}

impl Workspace {
    /// A workspace with the bot and nobody else.
    pub fn empty() -> Self {
        Self {
            team_id: DEFAULT_TEAM_ID.into(),
            team_name: "Acme".into(),
            domain: "acme".into(),
            app_id: "A0COUNTER".into(),
            bot_user_id: "U0BOT".into(),
            bot_id: "B0BOT".into(),
            bot_name: "Countersign".into(),
            bot_token: "xoxb-playground-token".into(),
            signing_secret: "playground-signing-secret".into(),
            scopes: None,
            verification_token: "playground-verification-token".into(),
            users: Vec::new(),
            channels: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Lets the token do no more than these scopes allow.
    #[must_use]
    pub fn with_scopes<'a>(mut self, scopes: impl IntoIterator<Item = &'a str>) -> Self {
        self.scopes = Some(scopes.into_iter().map(str::to_owned).collect());
        self
    }

    /// Adds a person.
    #[must_use]
    pub fn user(mut self, user: User) -> Self {
        self.users.push(user);
        self
    }

    /// Adds a channel with all full members and the bot in it.
    #[must_use]
    pub fn open_channel(mut self, mut channel: Channel) -> Self {
        let full_members = self.users.iter().filter(|user| !user.is_restricted && !user.is_bot);
        channel.members.extend(full_members.map(|user| user.id.clone()));
        channel.members.insert(self.bot_user_id.clone());
        self.channels.push(channel);
        self
    }

    /// Adds a channel exactly as given; without the bot in `members`, the bot is not in it.
    #[must_use]
    pub fn channel(mut self, channel: Channel) -> Self {
        self.channels.push(channel);
        self
    }

    /// Adds a user group.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// The cast of the demo and of most tests.
    pub fn demo() -> Self {
        let mut gus = User::member("U0GUS", "gus", "Gus", "guest, agency");
        gus.is_restricted = true;
        let mut tom = User::member("U0TOM", "tom", "Tom", "workspace admin");
        tom.is_admin = true;
        let mut workspace = Self::empty()
            .user(User::member("U0RITA", "rita", "Rita", "release manager"))
            .user(User::member("U0PRIYA", "priya", "Priya", "product owner"))
            .user(User::member("U0QUINN", "quinn", "Quinn", "QA lead"))
            .user(User::member("U0UMA", "uma", "Uma", "QA lead"))
            .user(User::member("U0THEO", "theo", "Theo", "tech lead, payments"))
            .user(User::member("U0TINA", "tina", "Tina", "tech lead, ledger"))
            .user(User::member("U0CLEO", "cleo", "Cleo", "CTO"))
            .user(User::member("U0VERA", "vera", "Vera", "deputy of the CTO"))
            .user(User::member("U0DEV", "dev", "Dev", "deployment engineer"))
            .user(User::member("U0MIA", "mia", "Mia", "developer"))
            .user(tom)
            .user(gus)
            .open_channel(Channel::public(
                "C0RELEASES",
                "releases",
                "Results and emergencies, for all teams",
            ))
            .open_channel(Channel::public("C0PAYMENTS", "payments", "The payments team"))
            .open_channel(Channel::public("C0LEDGER", "ledger", "The ledger team"))
            .group(Group::new("S0QALEADS", "qa-leads", "QA leads", &["U0QUINN", "U0UMA"]));
        // A guest sees only the channel he was invited to.
        if let Some(payments) = workspace.channels.iter_mut().find(|c| c.id == "C0PAYMENTS") {
            payments.members.insert("U0GUS".into());
        }
        workspace
    }
}
