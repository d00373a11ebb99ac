//! The queue: every job is run, by one worker at a time, and ends.

use super::given::*;
use crate::support::database::Database;
use countersign::store::{Commit, Fate, HeldJob, Hurry, JobFilter, NewJob, Outcome};
use std::collections::BTreeSet;
use std::time::Duration;

pub async fn a_job_is_claimed_settled_and_gone(db: Database) {
    let store = db.open().await;
    queue(&store, vec![job("j-1")]).await;
    let claimed = claim(&store, 9, NOW + 5).await.remove(0);
    assert_eq!((claimed.attempt, claimed.forgiven, claimed.attempts_max), (1, 0, 3));
    assert_eq!(
        (claimed.due_ms, claimed.created_ms, claimed.owner.as_str()),
        (NOW, NOW, "w")
    );
    assert_eq!(
        (claimed.kind.as_str(), claimed.subject.as_str()),
        ("refresh_card.v1", "REL-1")
    );
    assert!(claim_ids(&store, 9, NOW + 6).await.is_empty());
    assert!(store.settle(&settles(&claimed, Fate::Done)).await.unwrap());
    assert!(!store.settle(&settles(&claimed, Fate::Done)).await.unwrap());
    assert!(claim_ids(&store, 9, NOW + 600_000).await.is_empty());
}

pub async fn a_job_with_the_same_id_is_the_same_job(db: Database) {
    let store = db.open().await;
    queue(&store, vec![job("j-1"), job("j-1")]).await;
    queue(&store, vec![job("j-1"), job("j-2")]).await;
    let claimed = claim(&store, 9, NOW).await;
    assert_eq!(claimed.len(), 2);
    store.settle(&settles(&claimed[0], Fate::Done)).await.unwrap();
    queue(&store, vec![job("j-1")]).await;
    assert!(claim_ids(&store, 9, NOW).await.is_empty());
}

pub async fn a_lost_job_writes_nothing(db: Database) {
    let store = db.open().await;
    queue(&store, vec![job("j-1")]).await;
    let lost = claim(&store, 1, NOW).await.remove(0);
    // Its lease ends and somebody else takes it.
    let theirs = store
        .claim("cards", "other", 1, NOW + 60_000, 60_000)
        .await
        .unwrap()
        .jobs
        .remove(0);
    assert_eq!((theirs.id.as_str(), theirs.attempt), ("j-1", 2));
    let result = |settled| Commit {
        settles: Some(settled),
        ..asked("r-1", change("release/REL-1", 0))
    };
    for stale in [settles(&lost, Fate::Done), settles(&lost, again(NOW, false))] {
        assert_eq!(commit(&store, result(stale)).await.unwrap(), Outcome::LostJob);
    }
    assert_eq!(store.reply("r-1").await.unwrap(), None);
    assert!(verified(&store).await.is_empty());
    let held = result(settles(&theirs, Fate::Done));
    assert!(is_committed(&commit(&store, held.clone()).await.unwrap()));
    // The same result twice is answered, not lost.
    assert!(matches!(commit(&store, held).await.unwrap(), Outcome::Duplicate { .. }));
}

pub async fn jobs_of_one_key_run_in_order(db: Database) {
    let store = db.open().await;
    let mut jobs = vec![
        ordered("c", "REL-1", 2),
        ordered("b", "REL-1", 1),
        ordered("a", "REL-1", 3),
    ];
    jobs.push(ordered("z", "REL-2", 9));
    jobs.push(job("free"));
    // The oldest waits longest: the others wait for it all the same.
    jobs[1].due_ms = NOW + 100;
    queue(&store, jobs).await;
    assert_eq!(claim_ids(&store, 9, NOW).await, ["free", "z"]);
    for expected in ["b", "c", "a"] {
        let claimed = claim(&store, 9, NOW + 100).await;
        assert_eq!(
            claimed.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(),
            [expected]
        );
        assert!(claim_ids(&store, 9, NOW + 100).await.is_empty());
        // Not done at the first try: still nobody overtakes it.
        store
            .settle(&settles(&claimed[0], again(NOW + 200, true)))
            .await
            .unwrap();
        assert!(claim_ids(&store, 9, NOW + 199).await.is_empty());
        let claimed = claim(&store, 9, NOW + 200).await.remove(0);
        assert_eq!(claimed.id, expected);
        store.settle(&settles(&claimed, Fate::Done)).await.unwrap();
    }
}

pub async fn a_dead_job_holds_nobody_up(db: Database) {
    let store = db.open().await;
    queue(
        &store,
        vec![ordered("a", "k", 1), ordered("b", "k", 2), ordered("c", "k", 3)],
    )
    .await;
    let a = claim(&store, 9, NOW).await.remove(0);
    store
        .settle(&settles(
            &a,
            Fate::Dead {
                reason: "no such channel".to_owned(),
            },
        ))
        .await
        .unwrap();
    let b = claim(&store, 9, NOW).await.remove(0);
    assert_eq!(b.id, "b");
    // Retried while a later one runs: they don't run at the same time.
    assert!(store.retry_job("a").await.unwrap());
    assert!(claim_ids(&store, 9, i64::MAX / 2).await.iter().all(|id| id == "b"));
    let b = settles(&b, Fate::Done);
    store
        .settle(&countersign::store::Settlement { attempt: 2, ..b })
        .await
        .unwrap();
    assert_eq!(claim_ids(&store, 9, i64::MAX / 2).await, ["a"]);
}

pub async fn no_job_is_claimed_twice(db: Database) {
    let store = db.open().await;
    queue(&store, (0..500).map(|n| job(&format!("j-{n:03}"))).collect()).await;
    let mut claimers = tokio::task::JoinSet::new();
    for worker in 0..16 {
        let store = store.clone();
        claimers.spawn(async move {
            let (owner, mut mine) = (format!("w-{worker}"), Vec::new());
            loop {
                let claimed = store.claim("cards", &owner, 7, NOW, 60_000).await.unwrap().jobs;
                if claimed.is_empty() {
                    return mine;
                }
                for job in claimed {
                    assert!(store.settle(&settles(&job, Fate::Done)).await.unwrap());
                    mine.push(job.id);
                }
            }
        });
    }
    let ran: Vec<String> = claimers.join_all().await.into_iter().flatten().collect();
    assert_eq!(ran.len(), 500);
    assert_eq!(ran.into_iter().collect::<BTreeSet<_>>().len(), 500);
    assert_eq!(
        db.number("SELECT count(*) FROM job WHERE state = 'done' AND attempt = 1")
            .await,
        500
    );
}

pub async fn a_lease_that_ended_is_taken_over(db: Database) {
    let store = db.open().await;
    queue(&store, vec![job("j-1")]).await;
    assert_eq!(claim_ids(&store, 1, NOW).await, ["j-1"]);
    assert!(claim_ids(&store, 1, NOW + 59_999).await.is_empty());
    let claimed = claim(&store, 1, NOW + 60_000).await.remove(0);
    assert_eq!((claimed.attempt, claimed.due_ms), (2, NOW));
}

pub async fn a_result_and_a_takeover_at_once_leave_one_holder(db: Database) {
    let store = db.open().await;
    for round in 0..40 {
        queue(&store, vec![job(&format!("j-{round}"))]).await;
        let mine = claim(&store, 1, NOW).await.remove(0);
        let stream = format!("release/REL-{round}");
        let result = Commit {
            settles: Some(settles(&mine, Fate::Done)),
            ..change(&stream, 0)
        };
        let (result, taken) = tokio::join!(commit(&store, result), claim(&store, 1, NOW + 60_000));
        match result.unwrap() {
            Outcome::LostJob => {
                assert_eq!(taken[0].attempt, 2);
                assert!(store.settle(&settles(&taken[0], Fate::Done)).await.unwrap());
            }
            outcome => {
                assert!(is_committed(&outcome) && taken.is_empty(), "{outcome:?} {taken:?}");
            }
        }
    }
    assert_eq!(db.number("SELECT count(*) FROM job WHERE state = 'done'").await, 40);
}

pub async fn a_lease_that_is_renewed_is_kept(db: Database) {
    let store = db.open().await;
    queue(&store, vec![job("j-1"), job("j-2")]).await;
    claim(&store, 2, NOW).await;
    let held = store
        .renew("w", &[("j-2", 1), ("j-1", 1)], NOW + 50_000, 60_000)
        .await
        .unwrap();
    assert_eq!(held.len(), 2);
    assert!(claim_ids(&store, 9, NOW + 109_999).await.is_empty());
    assert_eq!(claim(&store, 9, NOW + 110_000).await.len(), 2);
    // Renewing what was taken over tells its former worker to stop.
    assert!(
        store
            .renew("w", &[("j-1", 1), ("j-2", 1)], NOW, 1)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(store.renew("other", &[("j-1", 2)], NOW, 1).await.unwrap().is_empty());
    assert_eq!(
        store.renew("w", &[("j-1", 2), ("j-2", 1)], NOW, 1).await.unwrap(),
        ["j-1"]
    );
}

pub async fn a_job_that_kills_its_workers_dies(db: Database) {
    let store = db.open().await;
    queue(&store, vec![job("poison"), job("good")]).await;
    let good = claim(&store, 9, NOW).await.remove(0);
    assert!(store.settle(&settles(&good, Fate::Done)).await.unwrap());
    for lost in 1..3 {
        assert_eq!(claim_ids(&store, 9, NOW + lost * 60_000).await, ["poison"]);
    }
    let claimed = store.claim("cards", "w", 9, NOW + 180_000, 60_000).await.unwrap();
    assert!(claimed.jobs.is_empty());
    assert_eq!(claimed.dead[0].id, "poison");
    assert_eq!(
        (claimed.dead[0].attempt, claimed.dead[0].reason.as_str()),
        (3, "lost too often")
    );
    assert!(claim_ids(&store, 9, NOW + 900_000).await.is_empty());
    assert_eq!(store.dead_jobs(Some("REL-1")).await.unwrap()[0].id, "poison");
}

pub async fn equal_jobs_that_wait_are_one(db: Database) {
    let store = db.open().await;
    queue(
        &store,
        vec![
            coalescing("a", "card"),
            coalescing("b", "card"),
            coalescing("x", "other"),
        ],
    )
    .await;
    queue(&store, vec![coalescing("c", "card")]).await;
    let claimed = claim(&store, 9, NOW).await;
    assert_eq!(
        claimed.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(),
        ["a", "x"]
    );
    // Once it is claimed it may have read too early, so another one is queued, and only one.
    queue(&store, vec![coalescing("d", "card")]).await;
    queue(&store, vec![coalescing("e", "card")]).await;
    // Coming back it doesn't clash with the one that waits, and is not taken for it.
    assert!(store.settle(&settles(&claimed[0], again(NOW, true))).await.unwrap());
    queue(&store, vec![coalescing("f", "card")]).await;
    assert_eq!(claim_ids(&store, 9, NOW).await, ["a", "d"]);
}

pub async fn due_times_are_kept_to_the_millisecond(db: Database) {
    let store = db.open().await;
    let timer = NewJob {
        due_ms: NOW + 1_234,
        ..job("timer")
    };
    queue(&store, vec![timer]).await;
    assert!(claim_ids(&store, 9, NOW + 1_233).await.is_empty());
    assert_eq!(store.job_counts().await.unwrap()[0].oldest_due_ms, NOW + 1_234);
    assert_eq!(claim_ids(&store, 9, NOW + 1_234).await, ["timer"]);
}

pub async fn waiting_costs_no_attempt(db: Database) {
    let store = db.open().await;
    queue(&store, vec![job("j-1")]).await;
    let mut claimed = claim(&store, 1, NOW).await.remove(0);
    for poll in 1..20 {
        store.settle(&settles(&claimed, again(NOW + poll, true))).await.unwrap();
        let before = claimed.attempt;
        claimed = claim(&store, 1, NOW + poll).await.remove(0);
        // The fence rises all the same.
        assert_eq!((claimed.attempt, claimed.attempt - claimed.forgiven), (before + 1, 1));
    }
    // Failures do cost one: two more and it is dead.
    for _ in 0..2 {
        store.settle(&settles(&claimed, again(NOW + 20, false))).await.unwrap();
        claimed = claim(&store, 1, NOW + 20).await.remove(0);
    }
    store.settle(&settles(&claimed, again(NOW + 20, false))).await.unwrap();
    let last = store.claim("cards", "w", 1, NOW + 20, 60_000).await.unwrap();
    assert!(last.jobs.is_empty());
    assert_eq!(
        (last.dead[0].id.as_str(), last.dead[0].reason.as_str()),
        ("j-1", "not yet")
    );
}

pub async fn a_hurried_job_is_due_sooner_once_and_never_later(db: Database) {
    let store = db.open().await;
    queue(&store, vec![job("j-1"), job("j-2")]).await;
    let claimed = claim(&store, 2, NOW).await;
    for (claimed, wait_ms) in claimed.iter().zip([60_000, 10]) {
        store
            .settle(&settles(claimed, again(NOW + wait_ms, false)))
            .await
            .unwrap();
    }
    let hurry = |attempt, due_ms| {
        let of = |job: &str| Hurry {
            job: job.to_owned(),
            attempt,
            due_ms,
        };
        vec![of("j-1"), of("j-2"), of("j-3")]
    };
    // Whoever has been tried since has a time of its own.
    assert_eq!(store.hurry(&hurry(2, NOW + 100)).await.unwrap(), 0);
    assert_eq!(store.hurry(&hurry(1, NOW + 100)).await.unwrap(), 1, "j-2 is due before");
    assert_eq!(claim_ids(&store, 9, NOW + 99).await, ["j-2"]);
    assert_eq!(store.hurry(&hurry(1, NOW + 50)).await.unwrap(), 1);
    let early = claim(&store, 9, NOW + 50).await.remove(0);
    assert_eq!(
        (early.id.as_str(), early.attempt, early.forgiven),
        ("j-1", 2, 2),
        "what is brought forward costs no attempt"
    );
    assert_eq!(
        store.hurry(&hurry(2, NOW)).await.unwrap(),
        0,
        "what runs is not hurried"
    );
}

pub async fn a_worker_that_stops_hands_its_jobs_back(db: Database) {
    let store = db.open().await;
    queue(&store, vec![job("j-1"), job("j-2"), job("j-3")]).await;
    claim(&store, 2, NOW).await;
    store.claim("cards", "other", 1, NOW, 60_000).await.unwrap();
    assert_eq!(store.requeue_owner("w").await.unwrap(), 2);
    let again = claim(&store, 9, NOW).await;
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|job| (job.attempt, job.forgiven) == (2, 1)));
}

pub async fn operators_list_retry_and_drop(db: Database) {
    let store = db.open().await;
    queue(
        &store,
        vec![
            job("a"),
            NewJob {
                subject: "REL-2".to_owned(),
                ..job("b")
            },
            job("c"),
        ],
    )
    .await;
    for claimed in claim(&store, 2, NOW).await {
        store
            .settle(&settles(
                &claimed,
                Fate::Dead {
                    reason: "gone".to_owned(),
                },
            ))
            .await
            .unwrap();
    }
    let listed = |filter: JobFilter| {
        let store = store.clone();
        async move {
            let rows = store.jobs(&JobFilter { limit: 10, ..filter }).await.unwrap();
            rows.into_iter()
                .map(|row| format!("{} {} {}", row.id, row.state, row.reason))
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(
        listed(JobFilter::default()).await,
        ["a dead gone", "b dead gone", "c queued "]
    );
    let of = |states: &[&str], subject: Option<&str>| JobFilter {
        states: states.iter().map(|s| (*s).to_owned()).collect(),
        subject: subject.map(str::to_owned),
        ..JobFilter::default()
    };
    assert_eq!(listed(of(&["dead"], Some("REL-2"))).await, ["b dead gone"]);
    assert_eq!(store.dead_jobs(None).await.unwrap().len(), 2);
    assert!(store.retry_job("a").await.unwrap());
    assert!(!store.retry_job("c").await.unwrap());
    assert!(store.drop_job("b").await.unwrap());
    assert!(
        !store.drop_job("c").await.unwrap(),
        "what waits may be a notice's clock"
    );
    let mut retried = claim(&store, 9, i64::MAX / 2).await;
    assert_eq!(retried.len(), 2);
    retried.retain(|job| job.id == "a");
    // With all its attempts.
    assert_eq!((retried[0].attempt, retried[0].forgiven), (2, 1));
    assert!(!store.drop_job("a").await.unwrap());
    assert_eq!(listed(of(&["dropped"], None)).await, ["b dropped gone"]);
}

pub async fn lanes_are_counted_and_claimed_apart(db: Database) {
    let store = db.open().await;
    let notice = NewJob {
        lane: "notices".to_owned(),
        due_ms: NOW - 5,
        ..job("n")
    };
    queue(&store, vec![job("a"), job("b"), notice]).await;
    claim(&store, 1, NOW).await;
    let counts: Vec<_> = store.job_counts().await.unwrap();
    let counts: Vec<_> = counts
        .iter()
        .map(|c| (c.lane.as_str(), c.state.as_str(), c.count, c.oldest_due_ms))
        .collect();
    assert_eq!(
        counts,
        [
            ("cards", "queued", 1, NOW),
            ("cards", "running", 1, NOW),
            ("notices", "queued", 1, NOW - 5)
        ]
    );
    assert_eq!(store.claim("notices", "w", 9, NOW, 1).await.unwrap().jobs[0].id, "n");
}

pub async fn what_is_old_is_purged(db: Database) {
    let store = db.open().await;
    let old = Commit {
        jobs: (0..600).map(|n| job(&format!("j-{n}"))).collect(),
        ..change("release/REL-1", 0)
    };
    commit(&store, asked("old", Commit { decided_ms: 1, ..old }))
        .await
        .unwrap();
    let fresh_ms = countersign::store::Options::default().clock;
    let fresh = Commit {
        decided_ms: fresh_ms(),
        ..change("release/REL-2", 0)
    };
    commit(&store, asked("fresh", fresh)).await.unwrap();
    let mut raw = db.connect().await;
    raw.execute("UPDATE job SET state = 'done', finished_ms = 5 WHERE id <> 'j-1'")
        .await
        .unwrap();
    raw.close().await;
    let purged = store.purge(5).await.unwrap();
    assert_eq!((purged.jobs, purged.requests, purged.may_be_more()), (0, 1, false));
    let purged = store.purge(6).await.unwrap();
    assert_eq!((purged.jobs, purged.may_be_more()), (500, true));
    assert_eq!(store.purge(6).await.unwrap().jobs, 99);
    assert_eq!(claim_ids(&store, 9, NOW).await, ["j-1"]);
    assert_eq!(store.reply("old").await.unwrap(), None);
    assert!(store.reply("fresh").await.unwrap().is_some());
}

pub async fn a_commit_with_jobs_wakes_workers(db: Database) {
    let store = db.open().await;
    let mut wake = store.wake();
    let woken = async |wake: &mut countersign::store::Wake| {
        tokio::time::timeout(Duration::from_millis(300), wake.next())
            .await
            .is_ok()
    };
    // What a new listener is told at first.
    while woken(&mut wake).await {}
    commit(&store, change("release/REL-1", 0)).await.unwrap();
    assert!(!woken(&mut wake).await);
    queue(&store, vec![ordered("a", "k", 1), ordered("b", "k", 2)]).await;
    assert!(woken(&mut wake).await);
    let first = claim(&store, 9, NOW).await.remove(0);
    store.settle(&settles(&first, Fate::Done)).await.unwrap();
    assert!(woken(&mut wake).await, "its successor may run now");
}

pub async fn who_is_alone_need_not_wait_for_leases(db: Database) {
    let store = db.open().await;
    queue(&store, vec![job("j-1"), job("j-2")]).await;
    let held = claim(&store, 1, NOW).await.remove(0);
    assert_eq!(store.end_leases().await.unwrap(), 1);
    let taken = claim(&store, 9, NOW).await;
    assert_eq!(taken.len(), 2);
    let again = taken.iter().find(|job| job.id == held.id).unwrap();
    assert_eq!(again.attempt, 2, "an attempt that killed its process counts");
}

pub async fn a_commit_holds_jobs_whoever_has_them(db: Database) {
    let store = db.open().await;
    queue(
        &store,
        vec![
            job("done"),
            job("held"),
            job("later"),
            coalescing("waits", "card/REL-1"),
        ],
    )
    .await;
    let claimed = claim(&store, 2, NOW).await;
    assert_eq!((claimed[0].id.as_str(), claimed[1].id.as_str()), ("done", "held"));
    store.settle(&settles(&claimed[0], Fate::Done)).await.unwrap();
    let hold = |job: &str, fate| HeldJob {
        job: job.to_owned(),
        fate,
    };
    let dead = || Fate::Dead {
        reason: "held".to_owned(),
    };
    let holds = Commit {
        holds: vec![
            hold("done", dead()),
            hold("held", dead()),
            hold("waits", dead()),
            hold("later", again(NOW + 30_000, false)),
            hold("nobody's", dead()),
        ],
        // Does not wait behind the one that is held.
        jobs: vec![coalescing("new", "card/REL-1")],
        ..change("release/REL-1", 0)
    };
    assert!(is_committed(&commit(&store, holds).await.unwrap()));
    assert!(!store.settle(&settles(&claimed[1], Fate::Done)).await.unwrap());
    let dead = store.dead_jobs(None).await.unwrap();
    let ids: Vec<(&str, &str)> = dead.iter().map(|job| (job.id.as_str(), job.reason.as_str())).collect();
    assert_eq!(ids, [("held", "held"), ("waits", "held")]);
    assert_eq!(claim_ids(&store, 9, NOW).await, ["new"]);
    assert_eq!(claim_ids(&store, 9, NOW + 30_000).await, ["later"]);
    assert!(store.retry_job("held").await.unwrap());
    assert!(claim_ids(&store, 9, i64::MAX / 2).await.contains(&"held".to_owned()));
    assert_eq!(verified(&store).await.len(), 1);
}
