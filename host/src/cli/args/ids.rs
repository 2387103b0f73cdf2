//! Ids in arguments of the command line. A value of these types needs no escaping in a path of the endpoint.

use std::fmt;
use std::str::FromStr;

/// A run's id: letters, digits and `-`, which need no escaping in a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunName(String);

impl FromStr for RunName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        plain
            .then(|| Self(text.into()))
            .ok_or("the id of a run has only letters, digits and `-`; `holdshort runs` lists the runs")
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A call of a run; also the id of its approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallId {
    pub run: RunName,
    /// The call's number within the run.
    pub call: u32,
}

impl FromStr for CallId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "write the run, a dot and the number of the call, like `0k3v9m2e8q1c4z7d.5`; `holdshort approvals` lists the approvals";
        let (run, call) = text.split_once('.').ok_or(wrong)?;
        Ok(Self { run: run.parse().map_err(|_| wrong)?, call: call.parse().map_err(|_| wrong)? })
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.run, self.call)
    }
}
