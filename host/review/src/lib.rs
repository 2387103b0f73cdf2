//! Turns an action into the text that a reviewer sees. **Invariant:** an agent's bytes reach a screen only
//! through this package.
//!
//! - [`visible`] escapes every character that a screen would hide, reorder or obey.
//! - [`outline`] lays out typed values, so that two different values never look alike.
//! - [`remarks`] finds texts that are likely to be misread.
//! - [`differences()`] finds claims that contradict the facts.
//! - [`terminal`] puts the parts in order: the host's summary, the warnings, the action, the host's evidence, and last
//!   the agent's own words under their own heading. [`Sheet`] has the same order for a page.
//!
//! Each output accepts only a type that this package alone can make: a printer accepts [`VisibleLines`], a full screen
//! accepts a [`Screenful`], and a page's template accepts [`Text`].
//!
//! A long line is wrapped and never cut. A page may leave out long evidence. Such a page says so, and links to other
//! pages that show all of the evidence ([`TextPage`]).
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

pub mod changes;
mod code_points;
pub mod differences;
mod evidence_gaps;
mod lookalikes;
pub mod outline;
mod patch;
pub mod remarks;
pub mod screen;
pub mod sentences;
mod sheet;
mod shown;
pub mod terminal;
mod text;
mod text_page;
pub mod visible;
pub mod waiting;
mod warning;

pub use changes::{ValueChange, changes};
pub use differences::{Difference, differences};
pub use patch::{Patch, PatchFile, PatchLine, Side};
pub use remarks::Remark;
pub use screen::Screenful;
pub use sheet::{Item, Shape, Sheet};
pub use shown::VisibleLines;
pub use terminal::{Line, ShownCall, ShownExhibit, Tone};
pub use text::Text;
pub use text_page::{NumberedLine, TextPage};
pub use warning::Warning;
