//! The endpoint's limits, each with its unit and reason, and the bounded reading of requests.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::RequestPartsExt;
use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use super::Api;
use super::json::{Object, typed};
use super::problem::{Kind, Problem};
use super::server::Busy;
use holdshort_common::once::Once;

/// The limits of one endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's body. The largest edit, 64 KiB of arguments, fits with every character
    /// escaped.
    pub body_bytes_max: usize,
    /// The time limit for a request's head, and for the pause before the next request on a
    /// connection.
    pub header_time_max: Duration,
    /// The time limit for a request's body.
    pub body_time_max: Duration,
    /// The time in which the client must accept some part of an answer or of a stream.
    pub write_time_max: Duration,
    /// The maximum number of connections. For a further connection the host closes another connection: first an
    /// unauthenticated one, then the one that has been silent longest. A connection that answers a reviewer's complete
    /// request is never closed to make room.
    pub connections_max: usize,
    /// The guaranteed time of a new connection for its first request. Without this time, a burst of other connections
    /// could close it before its request is read. In return, the host accepts at most `connections_max` connections in
    /// this time. Further connections wait in the system's queue.
    pub newcomer_time: Duration,
    /// The maximum number of event streams. It is below the number of connections, so that streams
    /// cannot lock reviewers out.
    pub streams_max: usize,
    /// The interval of comments on a silent event stream, so that dead clients are noticed.
    pub heartbeat: Duration,
    /// The request rate of one reviewer. It is far above what a person or a script needs, so that
    /// only a looping client reaches it.
    pub requests: Rate,
    /// The rate of failed authentications of one peer. A valid token is served even above this
    /// rate: on loopback and behind a proxy, all clients are the same peer, and a 256-bit token
    /// cannot be guessed.
    pub failures: Rate,
    /// The time for open requests to finish at shutdown.
    pub shutdown_time_max: Duration,
}

impl Limits {
    /// The default limits.
    pub const STANDARD: Self = Self {
        body_bytes_max: 256 * 1024,
        header_time_max: Duration::from_secs(10),
        body_time_max: Duration::from_secs(30),
        write_time_max: Duration::from_secs(30),
        connections_max: 256,
        newcomer_time: Duration::from_millis(50),
        streams_max: 64,
        heartbeat: Duration::from_secs(15),
        requests: Rate { per_second: 20_000, burst: 20_000 },
        failures: Rate { per_second: 10, burst: 50 },
        shutdown_time_max: Duration::from_secs(10),
    };

    /// The maximum number of one reviewer's concurrent requests: half of all connections, so that
    /// others are served too.
    pub(super) fn requests_of_one(&self) -> usize {
        (self.connections_max / 2).max(OF_ONE_MIN)
    }

    /// The maximum number of one reviewer's event streams: a quarter of all streams.
    pub(super) fn streams_of_one(&self) -> usize {
        (self.streams_max / 4).max(OF_ONE_MIN)
    }
}

/// Each maximum for one reviewer is at least this number, so that a reviewer can work even if the limits are small.
const OF_ONE_MIN: usize = 8;

/// A rate limit: a burst, and a steady rate after it.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// The steady rate.
    pub per_second: u32,
    /// The maximum burst.
    pub burst: u32,
}

/// The number of names that a [`Throttle`] remembers. At this number, names with a full bucket are forgotten. If no
/// name has a full bucket, a new name gets no token.
const NAMES_MAX: usize = 1024;

/// Token buckets for many names under one rate.
#[derive(Debug)]
pub(super) struct Throttle<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, (f64, Instant)>>,
}

impl<K: Hash + Eq + Clone> Throttle<K> {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes a token, if there is one. The next token comes within a second, because every rate is
    /// at least one per second.
    pub(super) fn take(&self, who: &K, now: Instant) -> bool {
        self.spend(who, now, 1.0)
    }

    /// Whether there is a token, without taking it.
    pub(super) fn has(&self, who: &K, now: Instant) -> bool {
        self.spend(who, now, 0.0)
    }

    fn spend(&self, who: &K, now: Instant, amount: f64) -> bool {
        let (per_second, burst) = (f64::from(self.rate.per_second.max(1)), f64::from(self.rate.burst.max(1)));
        let filled = |(left, at): (f64, Instant)| {
            (left + now.saturating_duration_since(at).as_secs_f64() * per_second).min(burst)
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= NAMES_MAX && !buckets.contains_key(who) {
            buckets.retain(|_, bucket| filled(*bucket) < burst);
            if buckets.len() >= NAMES_MAX {
                return false;
            }
        }
        let left = buckets.get(who).copied().map_or(burst, filled);
        let enough = left >= 1.0;
        buckets.insert(who.clone(), (if enough { left - amount } else { left }, now));
        enough
    }
}

/// A request's JSON body of the right type, within the limits of size and time, without unknown
/// members.
pub(super) struct Input<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        if !is_of(request.headers(), "application/json") {
            let detail = "send the body with one `Content-Type: application/json` and without `Content-Encoding`";
            return Err(Problem::new(Kind::NotJson, detail));
        }
        parse(&whole(request, api).await?).map(Self)
    }
}

/// The fields of a page's form, in their order.
pub(crate) struct Form(pub(crate) Vec<(String, String)>);

impl FromRequest<Api> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        if !is_of(request.headers(), "application/x-www-form-urlencoded") {
            return Err(Problem::new(Kind::NotJson, "this address accepts only forms of the review page"));
        }
        Ok(Self(form_urlencoded::parse(&whole(request, api).await?).into_owned().collect()))
    }
}

impl Form {
    /// The value of a field; `None` if it is missing, empty or repeated.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
        values.next().filter(|value| !value.is_empty() && values.next().is_none())
    }
}

async fn whole(request: Request, api: &Api) -> Result<axum::body::Bytes, Problem> {
    let limits = api.limits();
    let busy = request.extensions().get::<Arc<Busy>>().cloned();
    let bytes = read(request.into_body(), limits.body_bytes_max, limits.body_time_max).await?;
    busy.iter().try_for_each(|busy| busy.begin())?;
    Ok(bytes)
}

/// Parses a JSON body. Unknown and repeated members are refused.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.is_empty() {
        return Err(Problem::new(Kind::BadRequest, "the body is empty; send a JSON object, such as `{}`"));
    }
    let read = serde_json::from_slice(bytes)
        .map_err(|error| error.to_string())
        .and_then(|Once(value)| typed::<Object<T>>(value));
    read.map(|Object(read)| read)
        .map_err(|error| Problem::new(Kind::BadRequest, format!("the request body is invalid: {error}")))
}

fn is_of(headers: &HeaderMap, media: &str) -> bool {
    // Two `Content-Type` headers are refused, because another program, such as a proxy, could read the other header. A
    // compressed body is refused, because the host does not decode it.
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    if headers.contains_key(header::CONTENT_ENCODING) {
        return false;
    }
    let value = value.to_str().unwrap_or_default();
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    let charset = parameters.trim().to_ascii_lowercase();
    essence.trim().eq_ignore_ascii_case(media) && ["", "charset=utf-8", "charset=\"utf-8\""].contains(&charset.as_str())
}

async fn read(body: Body, bytes_max: usize, time_max: Duration) -> Result<axum::body::Bytes, Problem> {
    let too_large = || Problem::new(Kind::TooLarge, format!("the body has more than {bytes_max} bytes")).max(bytes_max);
    if usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX) > bytes_max {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(time_max, Limited::new(body, bytes_max).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Problem::new(Kind::BadRequest, format!("the body ended early: {error}"))),
        Err(_) => {
            let seconds = time_max.as_secs_f32();
            Err(Problem::new(Kind::TooSlow, format!("the body did not arrive within {seconds} seconds")))
        }
    }
}

/// A request's query without unknown members.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        let wrong = |error: axum::extract::rejection::QueryRejection| {
            let text = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Problem::new(Kind::BadRequest, format!("the query is invalid: {text}"))
        };
        query.map(|query| Self(query.0)).map_err(wrong)
    }
}

/// The parameters of a request's path. A path that cannot be parsed is not found.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let path = parts.extract::<axum::extract::Path<T>>().await;
        path.map(|path| Self(path.0)).map_err(|_| Problem::not_found("resource with this id"))
    }
}

/// Deserializes an optional number of a query.
pub(super) fn asked<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let number = super::number(&text).and_then(|number| T::try_from(number).ok());
    let wrong = || D::Error::custom(format!("`{}` is not a whole number of 0 or more", super::shortened(&text)));
    number.map(Some).ok_or_else(wrong)
}

/// The number of rows of an answer: the requested number within its bounds.
pub(super) fn page(asked: Option<u32>, standard: usize, max: usize) -> Result<usize, Problem> {
    match asked.map(|asked| usize::try_from(asked).unwrap_or(usize::MAX)) {
        None => Ok(standard),
        Some(asked) if (1..=max).contains(&asked) => Ok(asked),
        Some(_) => Err(Problem::new(Kind::BadRequest, format!("`limit` must be from 1 to {max}")).max(max)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_lets_a_burst_through_and_then_the_rate() {
        let throttle = Throttle::new(Rate { per_second: 2, burst: 3 });
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!([0, 0, 0, 0].map(|ms| throttle.take(&"a", at(ms))), [true, true, true, false]);
        assert!(throttle.take(&"b", at(0)), "each has their own");
        assert_eq!([400, 500, 600].map(|ms| throttle.take(&"a", at(ms))), [false, true, false]);
        assert_eq!((0..4).filter(|_| throttle.take(&"a", at(60_000))).count(), 3, "a burst at most");
    }

    #[test]
    fn a_throttle_remembers_a_bounded_number_of_names() {
        let throttle = Throttle::new(Rate { per_second: 1, burst: 1 });
        let start = Instant::now();
        assert!((0..NAMES_MAX).all(|name| throttle.take(&name, start)));
        assert!(!throttle.take(&NAMES_MAX, start));
        assert!(throttle.take(&NAMES_MAX, start + Duration::from_secs(2)));
        assert_eq!(throttle.buckets.lock().unwrap().len(), 1);
    }

    #[test]
    fn only_json_is_json() {
        let is = |value: &str| {
            is_of(&HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]), "application/json")
        };
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(is(good), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/json+x",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-16",
        ] {
            assert!(!is(bad), "{bad}");
        }
        assert!(!is_of(&HeaderMap::new(), "application/json"));
    }
}
