//! From an action to what a person sees: the only road from an agent's bytes to eyes.
//!
//! Whatever an agent wrote passes [`visible`], which leaves nothing that a screen would swallow, reorder or obey. [`outline`] lays typed values
//! out so that two different values never look alike, [`marks`] finds what is made to be misread, [`differences()`] what is claimed and not so,
//! and [`terminal`] puts it together: the host's summary, warnings, the action, the host's evidence, and last of all the agent's own words, under a heading that says so.
//! [`Sheet`] is the same for a page. Whoever prints takes [`Shown`], whoever draws a full screen a [`Screenful`], and a page's templates [`Text`]:
//! they are made only of what this room has made.
//! No line is ever cut for its length: it is wrapped. Where whoever shows a page leaves out evidence that is long, the page says so in its place,
//! and it has pages of its own, each of which draws nothing but itself ([`Leaf`]).
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

pub mod changes;
pub mod differences;
mod leaf;
mod lookalikes;
pub mod marks;
pub mod outline;
mod patch;
pub mod screen;
mod sheet;
mod shown;
mod spelled;
pub mod story;
pub mod terminal;
mod text;
mod unsaid;
pub mod visible;
pub mod waiting;

pub use changes::{Change, changes};
pub use differences::{Difference, differences};
pub use leaf::{Leaf, Numbered};
pub use marks::Mark;
pub use patch::{Patch, PatchFile, PatchLine, Side};
pub use screen::Screenful;
pub use sheet::{Item, Shape, Sheet};
pub use shown::Shown;
pub use terminal::{Line, Matter, ShownExhibit, Tone};
pub use text::Text;
