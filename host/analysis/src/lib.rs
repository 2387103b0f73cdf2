//! The analysis makes figures and texts from the journal and the policies. It decides nothing.
//!
//! [`backtest`] tries other policies on recorded calls. [`explain`] searches for the smallest change of a call that
//! would alter its verdict. [`review_load`] counts how often reviewers are asked, and suggests policies for calls that
//! reviewers always approve. All of them follow a call by one fold, [`life`].
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

pub mod backtest;
pub mod explain;
pub mod life;
pub mod review_load;
