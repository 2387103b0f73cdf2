//! The whole preview of a call: what the connector finds, with the run's history and the last performed call of the
//! same kind.

use holdshort_gate::{Action, AgentName, similar};
use holdshort_journal::Journal;
use holdshort_words::quote;

use crate::connectors::history::History;
use crate::connectors::{CannotPreview, Preview, Previewed};

/// The whole preview of a call.
pub(super) async fn look(
    journal: &Journal,
    preview: &dyn Preview,
    agent: &AgentName,
    action: &Action,
    before: &History,
) -> Result<Previewed, CannotPreview> {
    let mut previewed = preview.preview(agent, action).await?;
    if let Some(kind) = similar::kind(agent, action.capability(), &previewed.facts) {
        let last = journal.last_performed(kind).await;
        if let Some((id, call)) = last.map_err(|error| CannotPreview::Unavailable(quote(error).into()))? {
            preview.compare(action, (&id, &call), &mut previewed);
        }
    }
    preview.recall(action, before, &mut previewed);
    let (effect, undeclared) = (preview.effect(), preview.effect().undeclared(&previewed));
    if undeclared.is_empty() {
        before.add_models_to(&mut previewed);
        return Ok(previewed);
    }
    // Policies can read only declared facts. A policy that does not see a fact could clear a call that it should hold.
    tracing::error!(
        connector = effect.connector,
        ?undeclared,
        "a connector found a fact that its descriptor does not declare"
    );
    debug_assert!(false, "the descriptor of `{}` does not declare {undeclared:?}", effect.connector);
    Err(CannotPreview::Unavailable(
        "the connector found a fact that its descriptor does not declare: see the host's log".into(),
    ))
}
