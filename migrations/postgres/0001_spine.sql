-- The spine: log, states, requests, queue. Same tables and columns as ../sqlite; times are UTC milliseconds.
-- Keys compare by bytes ("C"), as in SQLite and in the program, so that rows are locked in one order everywhere.

-- schema_floor: the oldest migration that a program must know to use this database. A migration that only
-- adds leaves it alone, so that the version before keeps running beside the new one.
CREATE TABLE meta (
    id           BIGINT  PRIMARY KEY CHECK (id = 1),
    log          TEXT    NOT NULL,
    schema_floor BIGINT  NOT NULL,
    created_ms   BIGINT  NOT NULL
);

CREATE TABLE head (
    id        BIGINT  PRIMARY KEY CHECK (id = 1),
    position  BIGINT  NOT NULL,
    hash      TEXT    NOT NULL,
    logged_ms BIGINT  NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE log (
    position  BIGINT  PRIMARY KEY,
    stream    TEXT COLLATE "C"    NOT NULL,
    version   BIGINT  NOT NULL,
    logged_ms BIGINT  NOT NULL,
    bytes     TEXT    NOT NULL,
    previous  TEXT    NOT NULL,
    hash      TEXT    NOT NULL
);
CREATE UNIQUE INDEX log_stream ON log (stream, version);
CREATE FUNCTION log_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$;
CREATE TRIGGER log_no_update BEFORE UPDATE OR DELETE ON log FOR EACH ROW EXECUTE FUNCTION log_refuse();
CREATE TRIGGER log_no_truncate BEFORE TRUNCATE ON log FOR EACH STATEMENT EXECUTE FUNCTION log_refuse();

CREATE TABLE stream (
    stream     TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    version    BIGINT NOT NULL,
    service    TEXT   NOT NULL,
    status     TEXT COLLATE "C"   NOT NULL,
    state      TEXT   NOT NULL,
    updated_ms BIGINT NOT NULL
) WITH (fillfactor = 60);
-- Faster than the default; servers built without lz4 keep theirs.
DO $$ BEGIN ALTER TABLE stream ALTER COLUMN state SET COMPRESSION lz4; EXCEPTION WHEN OTHERS THEN NULL; END $$;
-- No index besides: whatever changes with every commit would cost every commit, and lists are rare.

CREATE TABLE request (
    id          TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    reply       TEXT   NOT NULL,
    answered_ms BIGINT NOT NULL
);
CREATE INDEX request_answered ON request (answered_ms);

CREATE TABLE business_key (
    key        TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    created_ms BIGINT NOT NULL
);

CREATE TABLE private_text (
    commitment TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    stream     TEXT COLLATE "C"   NOT NULL,
    salt       TEXT   NOT NULL,
    value      TEXT   NOT NULL,
    erased_ms  BIGINT NOT NULL
);
CREATE INDEX private_text_stream ON private_text (stream);

CREATE TABLE repeat (
    key       TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    opened_ms BIGINT NOT NULL,
    count     BIGINT NOT NULL
);

-- attempt rises with every claim and never falls: with owner it is the fence. What is given back is
-- counted in forgiven; a job is used up when attempt - forgiven has reached attempts_max.
CREATE TABLE job (
    id             TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    kind           TEXT   NOT NULL,
    payload        TEXT   NOT NULL,
    lane           TEXT COLLATE "C"   NOT NULL,
    subject        TEXT COLLATE "C"   NOT NULL,
    order_key      TEXT COLLATE "C",
    order_position BIGINT NOT NULL,
    coalesce_key   TEXT COLLATE "C",
    state          TEXT   NOT NULL CHECK (state IN ('queued', 'running', 'done', 'dead', 'dropped')),
    due_ms         BIGINT NOT NULL,
    attempt        BIGINT NOT NULL,
    forgiven       BIGINT NOT NULL,
    attempts_max   BIGINT NOT NULL,
    lease_until_ms BIGINT NOT NULL,
    owner          TEXT COLLATE "C"   NOT NULL,
    created_ms     BIGINT NOT NULL,
    finished_ms    BIGINT NOT NULL,
    reason         TEXT   NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX job_queued ON job (lane, due_ms, id) WHERE state = 'queued';
CREATE INDEX job_running ON job (lane, lease_until_ms) WHERE state = 'running';
CREATE INDEX job_dead ON job (subject) WHERE state = 'dead';
CREATE INDEX job_finished ON job (finished_ms) WHERE state IN ('done', 'dropped');
CREATE UNIQUE INDEX job_coalesce ON job (coalesce_key) WHERE state = 'queued' AND attempt = 0 AND coalesce_key IS NOT NULL;
CREATE INDEX job_order ON job (order_key, order_position, id) WHERE state IN ('queued', 'running') AND order_key IS NOT NULL;

CREATE TABLE message (
    id               TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    subject          TEXT COLLATE "C"   NOT NULL,
    channel          TEXT COLLATE "C"   NOT NULL,
    ts               TEXT COLLATE "C"   NOT NULL,
    state            TEXT   NOT NULL CHECK (state IN ('posting', 'posted', 'verified')),
    rendered_version BIGINT NOT NULL,
    rendered         TEXT   NOT NULL,
    attempted_ms     BIGINT NOT NULL
);
CREATE INDEX message_subject ON message (subject);
CREATE UNIQUE INDEX message_ts ON message (channel, ts) WHERE ts <> '';

-- When the next message may go to a channel: one pace for all replicas.
CREATE TABLE channel_turn (
    channel TEXT   NOT NULL PRIMARY KEY,
    next_ms BIGINT NOT NULL
);

CREATE TABLE person (
    id         TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    team       TEXT COLLATE "C"   NOT NULL,
    slack_user TEXT COLLATE "C"   NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX person_slack ON person (team, slack_user);

CREATE TABLE heartbeat (
    owner     TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    host      TEXT   NOT NULL,
    beat_ms   BIGINT NOT NULL,
    -- When every lane of it last got on; 0 for never.
    got_on_ms BIGINT NOT NULL
);
