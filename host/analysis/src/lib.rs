//! The analysis: figures and texts that are made from the journal and the policies, and that decide nothing.
//!
//! [`backtest`] tries policies on recorded calls, [`explain`] searches for the change of a call that would change its verdict, and [`burden`] counts
//! how often people are asked and suggests policies for calls that people always approve.
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

pub mod backtest;
pub mod burden;
pub mod explain;
