//! Durations in a histogram. Each bucket is 10 % wider than the bucket before it. Only the counts
//! of the buckets are kept, not the single durations.

use std::collections::BTreeMap;

/// The ratio of a bucket's upper bound to its lower bound, γ. The value that stands for a bucket
/// differs from each value in it by at most (γ − 1) / (γ + 1) = 4.8 %.
const GROWTH: f64 = 1.1;
/// The upper end of the first bucket in microseconds. No person decides within a millisecond.
const FIRST_US: f64 = 1_000.0;

/// The bounds of the coarse buckets for Prometheus in seconds: 10 s, 1 min, 5 min, 15 min, 1 h, 4
/// h, 1 d, 7 d.
pub const COARSE_S: [u64; 8] = [10, 60, 300, 900, 3_600, 14_400, 86_400, 604_800];

/// A histogram of durations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    fine: BTreeMap<u16, u64>,
    coarse: [u64; COARSE_S.len()],
    count: u64,
    sum_us: u64,
}

impl Times {
    /// Adds a duration in microseconds.
    pub fn add(&mut self, us: u64) {
        *self.fine.entry(bucket(us)).or_default() += 1;
        for (bound, count) in COARSE_S.iter().zip(&mut self.coarse) {
            *count += u64::from(us <= bound.saturating_mul(1_000_000));
        }
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Adds another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.fine {
            *self.fine.entry(*bucket).or_default() += count;
        }
        for (count, more) in self.coarse.iter_mut().zip(other.coarse) {
            *count += more;
        }
        self.count += other.count;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum of all durations in seconds.
    #[allow(clippy::cast_precision_loss, reason = "a sum of seconds for people and Prometheus")]
    pub fn sum_s(&self) -> f64 {
        self.sum_us as f64 / 1e6
    }

    /// The number of durations up to each bound of [`COARSE_S`].
    pub fn coarse(&self) -> &[u64] {
        &self.coarse
    }

    /// A percentile in seconds: of the durations, `per_cent` per cent are at most this long. `None`
    /// for an empty histogram.
    pub fn quantile_s(&self, per_cent: u64) -> Option<f64> {
        let rank = (self.count * per_cent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.fine.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        found.map(|(bucket, _)| middle_us(*bucket) / 1e6)
    }
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the longest time there is has bucket 354"
)]
/// The number of the bucket for a duration.
fn bucket(us: u64) -> u16 {
    ((us as f64 / FIRST_US).ln() / GROWTH.ln()).ceil().max(0.0) as u16
}

/// The value in microseconds that stands for all durations in a bucket: the harmonic mean of the bucket's bounds. For
/// every other value, the largest relative error would be larger.
fn middle_us(bucket: u16) -> f64 {
    FIRST_US * GROWTH.powi(i32::from(bucket)) * 2.0 / (GROWTH + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_within_five_per_cent_of_what_was() {
        let mut seed = 7_u64;
        for count in [1, 2, 19, 100, 1_000] {
            let (mut times, mut halves) = (Times::default(), [Times::default(), Times::default()]);
            let mut exact: Vec<u64> = Vec::new();
            for index in 0..count {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Durations from a millisecond to about a year, evenly spread on a logarithmic
                // scale.
                let us = 1_000 + (seed >> 20) % (1 << (10 + (seed >> 58) % 35));
                exact.push(us);
                times.add(us);
                halves[usize::from(index % 2 == 0)].add(us);
            }
            let [mut merged, other] = halves;
            merged.merge(&other);
            assert_eq!(merged, times);
            exact.sort_unstable();
            for per_cent in [1, 50, 95, 100] {
                let rank = (exact.len() * per_cent).div_ceil(100).max(1);
                let (real, read) = (exact[rank - 1] as f64 / 1e6, times.quantile_s(per_cent as u64).unwrap());
                assert!((read / real - 1.0).abs() <= 0.05, "{per_cent} % of {count}: {read} for {real}");
            }
            for (bound, counted) in COARSE_S.iter().zip(times.coarse()) {
                assert_eq!(*counted as usize, exact.iter().filter(|us| **us <= bound * 1_000_000).count());
            }
        }
        assert_eq!(Times::default().quantile_s(50), None);
        assert!(bucket(u64::MAX) < 400, "{}", bucket(u64::MAX));
    }
}
