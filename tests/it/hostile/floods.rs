//! Many at once: the same bytes two hundred times, random bytes, and healthy requests in a crowd of bad ones.

use super::door::{COMMANDS, Door, EVENTS, INTERACTIONS, KEY, Knock, form};
use crate::support::bot::PRIYA;
use crate::support::database::Engine;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

fn send(door: &Door, knock: Knock) -> impl Future<Output = (u16, String)> + Send + 'static {
    let sent = try_to_send(door, knock);
    async move { sent.await.unwrap() }
}

fn try_to_send(door: &Door, knock: Knock) -> impl Future<Output = reqwest::Result<(u16, String)>> + Send + 'static {
    let request = door.http.request(knock.method, door.url(&knock.path));
    let request = request.headers(knock.headers).body(knock.body);
    async move {
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }
}

/// Whether it was refused with its code. Who is told that it is too much while still sending may find the line closed instead.
fn is_refused(code: u16, answered: reqwest::Result<(u16, String)>) -> bool {
    match answered {
        Ok((status, answer)) => {
            assert_eq!(status, code, "{answer}");
            true
        }
        Err(error) => {
            assert_eq!(code, TOO_LARGE, "{error:?}");
            false
        }
    }
}

pub async fn the_same_signed_bytes_two_hundred_times_are_one_decision(engine: Engine) {
    let door = Door::open(engine).await;
    let before = door.bot.database.number("SELECT count(*) FROM request").await;
    let command = door.signed(COMMANDS, door.command(PRIYA, "approve REL-789"));
    let mut all = JoinSet::new();
    for _ in 0..200 {
        all.spawn(send(&door, command.clone()));
    }
    let mut answers = BTreeSet::new();
    while let Some(answered) = all.join_next().await {
        let (status, answer) = answered.unwrap();
        assert_eq!(status, 200, "{answer}");
        answers.insert(answer);
    }
    // Whoever could not be served within 2.5 s was told so, and asks again.
    let asks_again = ["Not known yet", "Something is broken", "could not record this just now"];
    answers.retain(|answer| !asks_again.iter().any(|text| answer.contains(text)));
    assert!(answers.len() <= 1, "one saved reply: {answers:?}");
    let (status, saved) = door.send(&command).await;
    assert_eq!(status, 200);
    assert!(saved.contains("Signed:"), "{saved}");
    assert!(
        answers.iter().all(|answer| *answer == saved),
        "{answers:?} and then {saved}"
    );
    assert_eq!(door.sign_offs().await, 1);
    let entries = door
        .bot
        .running()
        .handler
        .store
        .entries_of("release/REL-789")
        .await
        .unwrap();
    let signed = entries
        .iter()
        .filter(|entry| entry.bytes.contains("\"SignedOff.v1\""))
        .count();
    assert_eq!(signed, 1);
    let after = door.bot.database.number("SELECT count(*) FROM request").await;
    assert_eq!(after, before + 1, "one request is remembered");

    // Later, too: nothing of hers stands any more, and she is not told so.
    let command = door.signed(COMMANDS, door.command(PRIYA, "withdraw REL-789 too early"));
    let (_, saved) = door.send(&command).await;
    assert_eq!(door.sign_offs().await, 0, "{saved}");
    for _ in 0..3 {
        assert_eq!(door.send(&command).await, (200, saved.clone()));
    }
    door.bot.finish().await;
}

/// Every kind of bad request, with the code that it gets.
fn bad_requests(door: &Door) -> Vec<(u16, Knock)> {
    let click = form(&door.click(PRIYA));
    let stranger = |name: &str, id: &str| {
        let mut payload = door.click(PRIYA);
        payload[name] = json!(id);
        payload["team"] = json!({ "id": if name == "team" { id } else { "T0ACME" } });
        door.signed(INTERACTIONS, form(&payload))
    };
    let approve = door.command(PRIYA, "approve REL-789");
    vec![
        (401, Knock::new(INTERACTIONS, click.clone())),
        (401, Knock::new(INTERACTIONS, click.clone()).signed_with("1", "v0=00")),
        (401, door.signed_ahead(COMMANDS, approve.clone(), -3_600)),
        (401, door.signed_ahead(COMMANDS, approve.clone(), 3_600)),
        (
            TOO_LARGE,
            door.signed(COMMANDS, format!("payload={}", "a".repeat(600_000))),
        ),
        (
            400,
            door.signed(INTERACTIONS, format!("payload={}", "[".repeat(100_000))),
        ),
        (400, door.signed(INTERACTIONS, "payload={\"type\":\"block_actions\"")),
        (400, door.signed(COMMANDS, b"text=\xff\xfe".to_vec())),
        (
            415,
            door.signed(COMMANDS, approve.clone())
                .with("content-type", "text/plain"),
        ),
        (400, door.signed(EVENTS, "{").with("content-type", "application/json")),
        (403, stranger("team", "T0OTHER")),
        (403, stranger("api_app_id", "A0OTHER")),
        (403, door.signed(COMMANDS, approve.replace("T0ACME", "T0OTHER"))),
    ]
}

/// How many bad requests; a handful of people press healthy buttons meanwhile.
const BAD: usize = 20_000;
const CALLERS: usize = 32;
const HEALTHY_EVERY: usize = 500;
const TOO_LARGE: u16 = 413;

pub async fn a_healthy_click_is_answered_in_a_crowd_of_bad_ones(engine: Engine) {
    let door = Door::open(engine).await;
    let before = door.still().await;
    let bad = bad_requests(&door);
    // Slow ones hold their connections all the while.
    let mut slow = Vec::new();
    for _ in 0..40 {
        let mut stream = door.connect().await;
        stream
            .write_all(b"POST /slack/commands HTTP/1.1\r\nhost: x\r\n")
            .await
            .unwrap();
        slow.push(stream);
    }
    let (mut crowd, mut healthy, mut slowest) = (JoinSet::new(), 0, Duration::ZERO);
    let mut refused = 0;
    for number in 0..BAD {
        let (code, knock) = bad[number % bad.len()].clone();
        let sent = try_to_send(&door, knock);
        crowd.spawn(async move { (code, sent.await) });
        if number % HEALTHY_EVERY == HEALTHY_EVERY / 2 {
            let help = door.signed(COMMANDS, door.command(PRIYA, "help"));
            let asked = Instant::now();
            assert_eq!(send(&door, help).await.0, 200);
            slowest = slowest.max(asked.elapsed());
            healthy += 1;
        }
        if crowd.len() >= CALLERS {
            let (code, answered) = crowd.join_next().await.unwrap().unwrap();
            refused += usize::from(is_refused(code, answered));
        }
    }
    while let Some(answered) = crowd.join_next().await {
        let (code, answered) = answered.unwrap();
        refused += usize::from(is_refused(code, answered));
    }
    // Those that were too large are one kind of them.
    assert!(BAD - refused < BAD / bad.len() / 2, "{refused} of {BAD}");
    println!(
        "{engine:?}: {BAD} bad requests of {} kinds, {refused} refused with their codes and the others cut off as too large; the slowest of {healthy} healthy ones took {slowest:?}",
        bad.len()
    );
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    drop(slow);
    door.answers_only(&before).await;
    door.finish().await;
}

/// Numbers from a seed (`SplitMix64`), so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

fn mutate_bytes(body: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(body.len());
        match numbers.below(6) {
            0 => body.truncate(at),
            1 => body.insert(at, u8::try_from(numbers.below(256)).unwrap()),
            2 if !body.is_empty() => drop(body.remove(at)),
            3 if !body.is_empty() => body[at] ^= 1 << numbers.below(8),
            4 => body.extend_from_within(at..),
            _ => body.splice(at..at, *b"%00").for_each(drop),
        }
    }
}

/// Puts something odd in place of a value somewhere inside.
fn mutate_json(value: &mut Value, numbers: &mut Numbers) {
    let odd = |numbers: &mut Numbers| match numbers.below(10) {
        0 => json!(null),
        1 => json!([]),
        2 => json!({}),
        3 => json!(-1),
        4 => json!(1e300),
        5 => json!(""),
        6 => json!("\u{0}\u{202e}💥".repeat(numbers.below(2_000))),
        7 => json!("U0QUIRKY"),
        8 => json!(true),
        _ => json!([[[[{ "id": "T0ACME" }]]]]),
    };
    let inside: Option<&mut Value> = match value {
        Value::Object(map) if !map.is_empty() => {
            let at = numbers.below(map.len());
            map.values_mut().nth(at)
        }
        Value::Array(list) if !list.is_empty() => {
            let at = numbers.below(list.len());
            list.get_mut(at)
        }
        _ => None,
    };
    match inside {
        Some(inside) if numbers.below(4) > 0 => mutate_json(inside, numbers),
        Some(inside) => *inside = odd(numbers),
        None => *value = odd(numbers),
    }
}

pub async fn random_changes_of_a_valid_click_never_break_it_nor_get_through(engine: Engine) {
    const SEED: u64 = 20_250_131;
    println!("seed {SEED}");
    let door = Door::open(engine).await;
    let before = door.bot.release(KEY).await;
    let valid = door.click(PRIYA);
    let mut numbers = Numbers(SEED);
    let mut codes = std::collections::BTreeMap::new();
    for round in 0..300 {
        let body = if round % 2 == 0 {
            let mut body = form(&valid).into_bytes();
            mutate_bytes(&mut body, &mut numbers);
            body
        } else {
            let mut payload = valid.clone();
            for _ in 0..=numbers.below(3) {
                mutate_json(&mut payload, &mut numbers);
            }
            form(&payload).into_bytes()
        };
        let (status, answer) = door.send(&door.signed(INTERACTIONS, body.clone())).await;
        *codes.entry(status).or_insert(0) += 1;
        assert!(
            (200..300).contains(&status) || (400..500).contains(&status),
            "seed {SEED}, round {round}: {status} {answer}\n{}",
            String::from_utf8_lossy(&body)
        );
    }
    println!("{codes:?}");
    door.quiet().await;
    // What remained a valid click of hers was one; nothing else happened.
    let after = door.bot.release(KEY).await;
    assert!(after.sign_offs.len() <= 1, "{:?}", after.sign_offs);
    assert_eq!(after.status.key(), "asking");
    assert_eq!(after.revision, before.revision);
    assert!(after.rejections.is_empty() && after.attempts.is_empty());
    let store = &door.bot.running().handler.store;
    assert_eq!(store.count("release/").await.unwrap(), 1);
    if after.sign_offs.is_empty() {
        door.finish().await;
    } else {
        door.bot.finish().await;
    }
}
