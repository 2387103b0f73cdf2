//! The action's part of the review page, without the rest of the page. Tests use it to compare how different actions
//! look.

use askama::Template;

use crate::review::{Sheet, ShownCall};

#[derive(Template)]
#[template(path = "sheet.html")]
struct SheetPart {
    sheet: Sheet,
}

/// The HTML of the action, the preconditions and the agent's words, as on the review page. Fails only if a template
/// fails.
pub fn sheet(content: &ShownCall<'_>) -> Result<String, askama::Error> {
    SheetPart { sheet: Sheet::of(content) }.render()
}
