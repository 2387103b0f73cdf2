//! The part of the review page that shows the action, alone. Tests use it to compare the look of
//! different actions.

use askama::Template;

use crate::review::{Sheet, ShownCall};

#[derive(Template)]
#[template(path = "sheet.html")]
struct SheetPart {
    sheet: Sheet,
}

/// The HTML of the action, the preconditions and the agent's words, as on the review page. An error
/// is a template's error.
pub fn sheet(content: &ShownCall<'_>) -> Result<String, askama::Error> {
    SheetPart { sheet: Sheet::of(content) }.render()
}
