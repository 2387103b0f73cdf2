//! Time zones by their names in the IANA database.
//!
//! The database is compiled into the program, so a policy gives the same verdict on every machine.
//! A newer database comes with a newer release.

use std::str::FromStr;

use holdshort_gate::Time;
use jiff::civil::{Date, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use serde::{Serialize, Serializer};

use super::nearest::nearest;

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone without offset and daylight saving time.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// The name in the database, such as `Europe/Zagreb`.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The date and the time of day in this zone at a moment; `None` after the year 9999.
    pub fn at(&self, at: Time) -> Option<Zoned> {
        let stamp = Timestamp::from_microsecond(i64::try_from(at.0).ok()?).ok()?;
        Some(stamp.to_zoned(self.0.clone()))
    }

    /// A moment as text, such as `Friday 2026-11-27 15:02:03 in Europe/Zagreb`.
    pub fn local_time_text(&self, at: Time) -> String {
        let clock = self.at(at).map(|at| at.strftime("%A %Y-%m-%d %H:%M:%S").to_string());
        format!("{} in {}", clock.unwrap_or_else(|| format!("{} µs after 1970", at.0)), self.name())
    }

    /// The beginning and the end of a day such as `2026-12-25` in this zone; `None` if the text is
    /// no day.
    pub fn day(&self, text: &str) -> Option<[Time; 2]> {
        let day: Date = text.parse().ok()?;
        let begins = |day: Date| {
            let at = day.to_zoned(self.0.clone()).ok()?.timestamp().as_microsecond();
            u64::try_from(at).map(Time).ok()
        };
        Some([begins(day)?, begins(day.tomorrow().ok()?)?])
    }

    /// The moment of a text such as `2026-01-01T12:00:00Z`. A text without an offset is read in this
    /// zone.
    pub fn moment(&self, text: &str) -> Result<Time, String> {
        let stamp = match text.parse::<Timestamp>() {
            Ok(stamp) => stamp,
            Err(_) => {
                let local: DateTime = text.parse().map_err(|_| {
                    "write a time like `2026-01-01T12:00:00Z`, or without `Z` for the configured time zone".to_owned()
                })?;
                let once = self.0.to_ambiguous_zoned(local).unambiguous();
                let zone = self.name();
                once.map_err(|_| {
                    format!("the clocks of {zone} show this time twice or never; write the time with its UTC offset")
                })?
                .timestamp()
            }
        };
        u64::try_from(stamp.as_microsecond()).map(Time).map_err(|_| "the time is before 1970".into())
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

// Only full names in the database's spelling are accepted. An abbreviation such as `CST` means
// several zones, and an offset such as `+01:00` has no daylight saving time.
impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let database = TimeZoneDatabase::bundled();
        if let Some(zone) = database.get(text).ok().filter(|zone| zone.iana_name() == Some(text)) {
            return Ok(Self(zone));
        }
        let known: Vec<String> = database.available().map(|name| name.to_string()).collect();
        let place = |name: &&String| name.rsplit('/').next().is_some_and(|place| place.eq_ignore_ascii_case(text));
        let near = known.iter().find(|name| name.eq_ignore_ascii_case(text)).or_else(|| known.iter().find(place));
        let near = near.map(String::as_str).or_else(|| nearest(text, known.iter().map(String::as_str)));
        let near = near.map(|near| format!("did you mean `{near}`? If not, ")).unwrap_or_default();
        Err(format!(
            "`{}` is not a time zone; {near}write a name from the IANA database, such as `Europe/Zagreb` or `UTC`",
            text.escape_debug()
        ))
    }
}
