//! The counters of `/metrics` in Prometheus' text format. The number of label values is limited.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::http::Method;

/// Counts by method and status.
type Counts = BTreeMap<(&'static str, u16), u64>;

/// Counters since the host's start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Answers by route. Routes are patterns in the code, so they are few.
    requests: Mutex<HashMap<String, Counts>>,
    /// Connections closed to make room for new ones.
    pub(super) evicted: AtomicU64,
}

impl Metrics {
    /// Counts an answer. `route` is the pattern and not the path, because a client could make a new
    /// label with each path.
    pub(super) fn count(&self, route: &str, method: &Method, status: u16) {
        let key = (word(method), status);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        match requests.get_mut(route) {
            Some(counts) => *counts.entry(key).or_default() += 1,
            None => {
                requests.insert(route.into(), Counts::from([(key, 1)]));
            }
        }
    }

    /// Writes the counters. `unauthenticated` is the number of requests that needed a valid secret
    /// and had none.
    pub(super) fn write(&self, unauthenticated: u64, text: &mut String) {
        header(text, "holdshort_http_requests_total", "counter", "Answers by route, method and status.");
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for (route, counts) in requests.iter().collect::<BTreeMap<_, _>>() {
            for ((method, status), count) in counts {
                let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
                let _ = writeln!(text, "holdshort_http_requests_total{{{labels}}} {count}");
            }
        }
        let counters = [
            (
                "holdshort_http_unauthenticated_total",
                "Requests without a valid token, session, sign-in link or form.",
                unauthenticated,
            ),
            (
                "holdshort_http_evicted_total",
                "Connections closed to make room for new ones.",
                self.evicted.load(Ordering::Relaxed),
            ),
        ];
        for (name, help, counter) in counters {
            header(text, name, "counter", help);
            let _ = writeln!(text, "{name} {counter}");
        }
    }
}

/// Writes the lines `HELP` and `TYPE` of a metric. Writing to a `String` cannot fail.
pub(super) fn header(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_route_method_and_status() {
        let metrics = Metrics::default();
        for (route, method, status) in
            [("/a", Method::GET, 200), ("/a", Method::GET, 200), ("/a", Method::TRACE, 405), ("/", Method::GET, 200)]
        {
            metrics.count(route, &method, status);
        }
        let mut text = String::new();
        metrics.write(0, &mut text);
        for line in [
            "holdshort_http_requests_total{route=\"/a\",method=\"GET\",status=\"200\"} 2",
            "holdshort_http_requests_total{route=\"/a\",method=\"other\",status=\"405\"} 1",
            "holdshort_http_unauthenticated_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
