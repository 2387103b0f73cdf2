//! Holdshort.
