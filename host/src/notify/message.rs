//! The words of a message. What an agent wrote stands in it as visible text, which no receiver takes for markup, a mention or a link.

use holdshort_gate::{Digest, Time};
use serde_json::{Value, json};

use super::notice::{About, Kind, Notice};
use crate::review::{Shown, story, visible};

/// The form of a webhook's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `{"type", "timestamp", "data"}`, for programs.
    Standard,
    /// `{"text"}`, which chat services show to people.
    Chat,
}

/// A letter of the host's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its stable name, which becomes the `Message-ID`.
    pub id: String,
    /// To whom.
    pub to: String,
    /// The host's words and ids alone: nothing of an agent's stands in a header.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// A webhook's body; the same notice is always the same bytes.
pub fn body(notice: &Notice, base: &str, format: Format) -> String {
    let value = match format {
        Format::Standard => standard(notice, base),
        Format::Chat => json!({ "text": chat(notice, base) }),
    };
    Shown::json_line(&value).to_string().trim_end().to_owned()
}

/// The letter to one reviewer.
pub fn letter(notice: &Notice, base: &str, to: &str) -> Letter {
    let mut text = format!("{}.\n\n", sentence(notice));
    if let Some(About { capability, summary, .. }) = &notice.call {
        text += &format!("{}\n\nCapability: {}\n", visible::line(summary), visible::line(capability));
    }
    for (name, value) in facts(notice) {
        text += &format!("{name}: {value}\n");
    }
    text += &format!(
        "\n{}\n\nSign in there to see it whole. Nothing can be decided by answering this letter.\n",
        link(notice, base)
    );
    // Each person's letter is one of its own: in a Maildir the name says whether it is there already.
    let whose: String = Digest::of(to.as_bytes()).bytes().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let id = format!("{}-{whose}", notice.id);
    Letter { id, to: to.into(), subject: format!("Holdshort: {}", sentence(notice)), text }
}

fn standard(notice: &Notice, base: &str) -> Value {
    let mut data = json!({ "run": notice.run, "agent": notice.agent, "link": link(notice, base) });
    let more = notice.call.as_ref().map(|call| {
        json!({
            "approval": approval(notice, call),
            "call": call.number,
            "capability": call.capability,
            "summary": visible::line(&call.summary),
            "revision": call.revision,
            "deadline": call.deadline.map(rfc3339),
        })
    });
    if let Some(data) = data.as_object_mut() {
        data.extend(more.as_ref().and_then(Value::as_object).cloned().unwrap_or_default());
        data.extend(notice.outcome.as_ref().map(|outcome| ("outcome".to_owned(), json!(visible::line(outcome)))));
    }
    json!({ "type": notice.kind.name(), "timestamp": rfc3339(notice.at), "data": data })
}

/// Slack, Mattermost, Rocket.Chat and Google Chat read this text. What is not the host's stands between backticks, where they read no markup.
fn chat(notice: &Notice, base: &str) -> String {
    let mut text = sentence(notice);
    if let Some(call) = &notice.call {
        text += &format!("\n`{}`\n`{}`", inert(&call.summary), inert(&call.capability));
    }
    for (name, value) in facts(notice) {
        text += &format!("\n{name}: {}", inert(&value));
    }
    text + "\n" + &link(notice, base)
}

/// A text that no chat service obeys: no end of the backticks, no control sequence in `<…>` (escaped as Slack asks), no mention and no link.
fn inert(text: &str) -> String {
    let visible = visible::line(text).replace('`', "'").replace('@', "(at)").replace("://", ":/ /");
    visible.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What happened, in the host's own words and ids.
fn sentence(notice: &Notice) -> String {
    let of = notice.call.as_ref().map_or_else(|| notice.run.0.clone(), |call| approval(notice, call));
    match notice.kind {
        Kind::Held if notice.next_stage => format!("{of} waits for a decision: it is your turn"),
        Kind::Held if notice.outcome.is_some() => format!("{of} waits for a decision again"),
        Kind::Held => format!("{of} waits for a decision"),
        Kind::Reminder => format!("{of} still waits, and its time is nearly over"),
        Kind::Decided => format!("{of} was decided"),
        Kind::Expired => format!("{of} lapsed"),
        Kind::Withdrawn => format!("{of} waits no more, because its run was cancelled"),
        Kind::InDoubt => format!("{of} is in doubt: it started, and nobody knows what came of it"),
        Kind::Delayed => format!("the host cannot bring run {of} forward, and goes on trying"),
        Kind::Finished => format!("run {of} finished"),
        Kind::Failed => format!("run {of} ended without a result"),
        Kind::Test => "this is a test".into(),
    }
}

/// What else there is to say, by name: names of people and agents, and times.
fn facts(notice: &Notice) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Agent", visible::line(&notice.agent))];
    facts.extend(notice.outcome.as_ref().map(|outcome| ("Outcome", visible::line(outcome))));
    let deadline = notice.call.as_ref().and_then(|call| call.deadline).filter(|_| notice.kind.asks());
    facts.extend(deadline.map(|deadline| ("Decide before", story::at(deadline))));
    facts
}

fn approval(notice: &Notice, call: &About) -> String {
    format!("{}.{}", notice.run, call.number)
}

/// Where somebody who signs in sees it. It decides nothing.
fn link(notice: &Notice, base: &str) -> String {
    match (&notice.call, notice.kind) {
        (Some(call), _) => format!("{base}/approvals/{}", approval(notice, call)),
        (None, Kind::Test) => base.into(),
        (None, _) => format!("{base}/runs/{}", notice.run),
    }
}

fn rfc3339(at: Time) -> String {
    let at = i64::try_from(at.0).ok().and_then(|at| jiff::Timestamp::from_microsecond(at).ok());
    at.map_or_else(|| "never".into(), |at| format!("{at:.6}"))
}
