//! Writes the text of notifications. An agent's words appear in visible form, so that no receiver reads markup, a
//! mention or a link in them.

use holdshort_gate::{Digest, Time};
use serde_json::{Value, json};

use super::notice::{Kind, Notice, NoticeCall};
use crate::review::{VisibleLines, sentences, visible};

/// The format of a webhook's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `{"type", "timestamp", "data"}`, for programs.
    Standard,
    /// `{"text"}`, which chat services show to people.
    Chat,
}

/// An email of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeEmail {
    /// Its stable id, which becomes the `Message-ID`.
    pub id: String,
    /// The recipient's address.
    pub to: String,
    /// Only words and ids of the host: a header never contains an agent's words.
    pub subject: String,
    pub text: String,
}

/// The body for a webhook. One notice always gives the same bytes.
pub fn body(notice: &Notice, base: &str, format: Format) -> String {
    let value = match format {
        Format::Standard => standard(notice, base),
        Format::Chat => json!({ "text": chat(notice, base) }),
    };
    VisibleLines::json_line(&value).to_string().trim_end().to_owned()
}

/// The email to one reviewer.
pub fn email(notice: &Notice, base: &str, to: &str) -> NoticeEmail {
    let mut text = format!("{}.\n\n", sentence(notice));
    if let Some(NoticeCall { capability, summary, .. }) = &notice.call {
        text += &format!("{}\n\nCapability: {}\n", visible::line(summary), visible::line(capability));
    }
    for (name, value) in facts(notice) {
        text += &format!("{name}: {value}\n");
    }
    text += &format!(
        "\n{}\n\nSign in at this address to see the whole call. A reply to this email is not a decision.\n",
        link(notice, base)
    );
    // Each recipient's email has a file name of its own: in a Maildir the name shows whether the
    // email is already there.
    let whose: String = Digest::of(to.as_bytes()).bytes().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let id = format!("{}-{whose}", notice.id);
    NoticeEmail { id, to: to.into(), subject: format!("Holdshort: {}", sentence(notice)), text }
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

/// The text for Slack, Mattermost, Rocket.Chat and Google Chat. Other people's words stand between backticks, where
/// these services read no markup.
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

/// A text that no chat service interprets: it cannot end the backticks, and contains no control
/// sequence `<…>` (escaped as Slack asks), no mention and no link.
fn inert(text: &str) -> String {
    let visible = visible::line(text).replace('`', "'").replace('@', "(at)").replace("://", ":/ /");
    visible.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// One sentence about the event, from words and ids of the host only.
fn sentence(notice: &Notice) -> String {
    let of = notice.call.as_ref().map_or_else(|| notice.run.0.clone(), |call| approval(notice, call));
    match notice.kind {
        Kind::Held if notice.next_stage => format!("{of} waits for your decision: your stage has begun"),
        Kind::Held if notice.outcome.is_some() => format!("{of} waits again for a decision"),
        Kind::Held => format!("{of} waits for a decision"),
        Kind::Reminder => format!("{of} still waits, and its deadline is near"),
        Kind::Decided => format!("{of} was decided"),
        Kind::Expired => format!("{of} expired"),
        Kind::Withdrawn => format!("{of} no longer waits, because the run was cancelled"),
        Kind::InDoubt => format!("{of} is in doubt: its effect started, and the outcome is unknown"),
        Kind::Delayed => format!("run {of} is delayed: the host cannot continue it now, and keeps trying"),
        Kind::Finished => format!("run {of} finished"),
        Kind::Failed => format!("run {of} ended without a result"),
        Kind::Test => "this is a test".into(),
    }
}

/// The other details by label: names of reviewers and agents, and times.
fn facts(notice: &Notice) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Agent", visible::line(notice.agent.as_str()))];
    facts.extend(notice.outcome.as_ref().map(|outcome| ("Outcome", visible::line(outcome))));
    let deadline = notice.call.as_ref().and_then(|call| call.deadline).filter(|_| notice.kind.asks());
    facts.extend(deadline.map(|deadline| ("Decide before", sentences::at(deadline))));
    facts
}

fn approval(notice: &Notice, call: &NoticeCall) -> String {
    format!("{}.{}", notice.run, call.number)
}

/// The address of the page. Opening it decides nothing, and needs a session.
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
