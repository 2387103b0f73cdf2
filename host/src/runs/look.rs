//! The whole preview of a call: what the connector finds, with the run's history.

use holdshort_gate::{Action, AgentName};

use crate::connectors::history::History;
use crate::connectors::{CannotPreview, Preview, Previewed};

/// The whole preview of a call: the connector's, with the history of the run.
pub(super) async fn look(
    preview: &dyn Preview,
    agent: &AgentName,
    action: &Action,
    before: &History,
) -> Result<Previewed, CannotPreview> {
    let mut previewed = preview.preview(agent, action).await?;
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
