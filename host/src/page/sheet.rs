//! What a review page says of an action, by itself: what different actions look like can be compared.

use askama::Template;

use crate::review::{Matter, Sheet};

#[derive(Template)]
#[template(path = "sheet.html")]
struct SheetPart {
    sheet: Sheet,
}

/// The HTML of what would be done, what must hold, and what the agent says, as the review page has it; an error of the template's own otherwise.
pub fn sheet(matter: &Matter<'_>) -> Result<String, askama::Error> {
    SheetPart { sheet: Sheet::of(matter) }.render()
}
