//! What stands around a signed checkpoint in Slack and in a mail: what it is, and what to do with it.

use crate::slack::blocks::Rendered;
use domain::checkpoint::Checkpoint;
use serde_json::json;

/// The message in the channel of `audit.channel`.
pub fn message(checkpoint: &Checkpoint, note: &str) -> Rendered {
    let position = checkpoint.position;
    let text = format!("Checkpoint of the audit log at entry {position}.");
    let words = format!(
        "{text} Whoever rewrites the log up to there can't make it fit this text again. Leave it here: \
         `countersign audit verify --checkpoint FILE` compares.\n```{}```",
        note.trim_end()
    );
    let section = json!({ "type": "section", "block_id": "checkpoint", "text": { "type": "mrkdwn", "text": words } });
    Rendered {
        text,
        blocks: json!([section]),
    }
}

/// Subject and body of the mail to a witness. The key stands in it for convenience only: the one to trust came another way.
pub fn mail(checkpoint: &Checkpoint, note: &str, key: &str) -> (String, String) {
    let Checkpoint { position, log, .. } = checkpoint;
    let subject = format!("[Countersign] Checkpoint of the audit log at entry {position}");
    let body = format!(
        "This is a signed checkpoint of the audit log {log}. You get one a day on which something was logged, because you are \
         a witness: please keep it. Whoever rewrites the log up to entry {position} can't make it fit this text again.\n\n\
         {note}\n\
         To compare: ask for an export (countersign audit export), save the four lines above and the empty one between them in a \
         file, and run\n\n\
         countersign audit verify EXPORT --checkpoint FILE --key PUBLIC_KEY\n\n\
         or scripts/verify_audit.py with the same words. Use the public key that you were given when you became a witness. \
         According to this mail it is\n\n{key}\n\nIf that is another one, ask who changed it.\n"
    );
    (subject, body)
}
