use holdshort_gate::ReviewerName;

use super::*;
use crate::api::auth::Reviewers;

fn reviewer(name: &str) -> Reviewer {
    Reviewers::new([(ReviewerName::new(name), Digest::of(name.as_bytes()))]).unwrap().owner(name).unwrap()
}

fn find(sessions: &Sessions, headers: &HeaderMap, cookie: &SessionCookie, now: Instant) -> Option<Session> {
    sessions.find(cookie.value(headers)?, None, now)
}

/// The headers of a browser's next request after it received the header `given`.
fn brings(given: &HeaderValue) -> HeaderMap {
    let pair = given.to_str().unwrap().split(';').next().unwrap().parse().unwrap();
    HeaderMap::from_iter([(header::COOKIE, pair)])
}

#[test]
fn a_link_signs_in_once_and_in_time() {
    let (sessions, alice, start) = (Sessions::default(), reviewer("alice"), Instant::now());
    let code = sessions.link(&alice, None, start).unwrap();
    for _ in 0..3 {
        assert_eq!(sessions.whose(&code, None, start), Some(alice.clone()), "looking uses nothing up");
    }
    assert_eq!(sessions.follow("another", None, start), None);
    assert_eq!(sessions.follow(&code, None, start), Some(alice.clone()));
    assert_eq!((sessions.follow(&code, None, start), sessions.whose(&code, None, start)), (None, None), "used");
    let (last, over) = (LINK_TIME - Duration::from_millis(1), LINK_TIME);
    let code = sessions.link(&alice, None, start).unwrap();
    assert_eq!(sessions.whose(&code, None, start + last), Some(alice.clone()));
    assert_eq!(sessions.follow(&code, None, start + over), None, "looking at it makes it no younger");
    let code = sessions.link(&alice, None, start).unwrap();
    assert_eq!(sessions.follow(&code, None, start + last), Some(alice));
}

#[test]
fn a_session_ends_when_it_is_not_used_and_after_a_day() {
    let (sessions, cookie, start) = (Sessions::default(), SessionCookie::new(false, 1), Instant::now());
    let open = || brings(&sessions.open(&reviewer("alice"), None, &cookie, start).unwrap());
    let is_open = |headers: &HeaderMap, after: Duration| find(&sessions, headers, &cookie, start + after).is_some();
    let instant = Duration::from_millis(1);
    let (idle, busy, ended) = (open(), open(), open());
    assert!(is_open(&idle, IDLE_TIME_MAX - instant), "in use again");
    assert!(!is_open(&idle, 2 * IDLE_TIME_MAX - instant) && !is_open(&idle, instant), "and never after it was over");
    for hours in 1..24 {
        assert!(is_open(&busy, Duration::from_secs(3600) * hours), "{hours} h");
    }
    assert!(is_open(&busy, SESSION_TIME_MAX - instant) && !is_open(&busy, SESSION_TIME_MAX));
    let removal = sessions.end(&ended, &cookie).unwrap();
    assert!(removal.to_str().unwrap().contains("Max-Age=0"), "{removal:?}");
    assert!(!is_open(&ended, instant), "who has signed out is out");
}

#[test]
fn the_oldest_of_a_persons_sessions_goes_and_nobody_elses() {
    let (sessions, cookie, start) = (Sessions::default(), SessionCookie::new(false, 1), Instant::now());
    let open = |name: &str, at: Duration| brings(&sessions.open(&reviewer(name), None, &cookie, start + at).unwrap());
    let (bob, alice) = (open("bob", Duration::ZERO), open("alice", Duration::ZERO));
    let second = Duration::from_secs(1);
    let others: Vec<HeaderMap> = (1..=20).map(|number| open("alice", second * number)).collect();
    let is_open = |headers: &HeaderMap| find(&sessions, headers, &cookie, start + second * 30).is_some();
    assert_eq!(lock(&sessions.open).0.len(), 1 + OF_ONE_PERSON_MAX);
    assert!(!is_open(&alice) && is_open(&bob) && others.iter().all(is_open));
}

#[test]
fn one_cookie_is_one_session() {
    let (sessions, start) = (Sessions::default(), Instant::now());
    let (cookie, other) = (SessionCookie::new(false, 7411), SessionCookie::new(false, 7412));
    let given = sessions.open(&reviewer("alice"), None, &cookie, start).unwrap();
    let pair = given.to_str().unwrap().split(';').next().unwrap();
    let (name, value) = pair.split_once('=').unwrap();
    let found = |line: &str| {
        find(&sessions, &HeaderMap::from_iter([(header::COOKIE, line.parse().unwrap())]), &cookie, start).is_some()
    };
    for line in [pair.to_owned(), format!("a=b; {pair}; c"), format!("{name}x=1; {pair}")] {
        assert!(found(&line), "{line}");
    }
    let (first, last) = (&value[..42], &value[..1]);
    for line in [
        format!("{pair}; {pair}"),
        format!("{name}=; {pair}"),
        format!("{name}=x; {pair}"),
        format!("{name}={first}"),
        format!("{name}={value}{last}"),
        format!("{name}={}", "x".repeat(8_000)),
        format!("{name}x={value}"),
        value.to_owned(),
        String::new(),
    ] {
        assert!(!found(&line), "{line}");
    }
    let mut twice = brings(&given);
    twice.append(header::COOKIE, pair.parse().unwrap());
    assert!(find(&sessions, &twice, &cookie, start).is_none(), "in two headers");
    assert!(find(&sessions, &brings(&given), &other, start).is_none(), "a host on another port has its own");
}

#[test]
fn a_seal_is_of_one_session_and_one_thing() {
    let (sessions, cookie, start) = (Sessions::default(), SessionCookie::new(false, 1), Instant::now());
    let open = || {
        find(&sessions, &brings(&sessions.open(&reviewer("alice"), None, &cookie, start).unwrap()), &cookie, start)
            .unwrap()
    };
    let (one, other) = (open(), open());
    let seal = one.seal("this");
    assert!(one.check("this", &seal).is_ok());
    assert_eq!(seal, one.seal("this"));
    for (session, what, seal) in [
        (&one, "that", &*seal),
        (&other, "this", &seal),
        (&one, "this", ""),
        (&one, "this", &seal[1..]),
        (&one, "this", "no base64!"),
    ] {
        assert!(session.check(what, seal).is_err(), "{what} {seal}");
    }
    assert!(!format!("{one:?}").contains(&seal) && format!("{one:?}").contains("(secret)"));
}

#[test]
fn behind_tls_the_cookie_stays_there() {
    let sessions = Sessions::default();
    let given = |cookie: &SessionCookie| {
        sessions.open(&reviewer("alice"), None, cookie, Instant::now()).unwrap().to_str().unwrap().to_owned()
    };
    let (plain, tls) = (given(&SessionCookie::new(false, 7411)), given(&SessionCookie::new(true, 7411)));
    assert!(plain.starts_with("holdshort-7411=") && !plain.contains("Secure"), "{plain}");
    assert!(tls.starts_with("__Host-holdshort="), "{tls}");
    for flag in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(plain.contains(flag) && tls.contains(flag), "{flag}: {plain}");
    }
    assert!(tls.contains("; Secure") && !tls.contains("Domain"), "{tls}");
}

#[test]
fn what_another_port_has_set_is_forgotten() {
    let cookie = SessionCookie::new(false, 7411);
    let forgotten = |line: &str, path: &str| {
        let headers = HeaderMap::from_iter([(header::COOKIE, line.parse().unwrap())]);
        let told = cookie.forgotten(&headers, path);
        let path = |header: &HeaderValue| {
            let header = header.to_str().unwrap();
            assert!(header.starts_with("holdshort-7411=;") && header.contains("Max-Age=0"), "{header}");
            header.split("Path=").nth(1).unwrap().split(';').next().unwrap().to_owned()
        };
        told.iter().map(path).collect::<Vec<_>>()
    };
    let (one, two) = ("holdshort-7411=a", "holdshort-7411=a; holdshort-7411=b");
    let above = ["/approvals", "/approvals/", "/approvals/r.1"];
    assert_eq!(forgotten(two, "/approvals/r.1"), above, "ours is that of `/`, and stays");
    assert_eq!(forgotten(one, "/approvals/r.1"), [&["/"], &above[..]].concat());
    assert_eq!((forgotten(one, "/"), forgotten(two, "/")), (vec!["/".to_owned()], vec![]));
    assert_eq!(
        forgotten("other=a; holdshort-7412=b", "/approvals"),
        Vec::<String>::new(),
        "those of others are theirs"
    );
    for path in ["/a//b", "/%2e/;x", "//", &"/a".repeat(1_000)] {
        let told = forgotten(two, path);
        assert!(told.len() <= PATHS_MAX && told.iter().all(|told| path.starts_with(told.as_str())), "{path}: {told:?}");
    }
}

#[tokio::test]
async fn what_waits_for_its_end_hears_of_it() {
    let (sessions, cookie, start) = (Sessions::default(), SessionCookie::new(false, 1), Instant::now());
    let open = |after: u64| {
        let at = start + Duration::from_secs(after);
        let headers = brings(&sessions.open(&reviewer("alice"), None, &cookie, at).unwrap());
        let session = find(&sessions, &headers, &cookie, at).unwrap();
        (headers, tokio::spawn(session.over()))
    };
    let heard = async |waits: tokio::task::JoinHandle<()>| {
        tokio::time::timeout(Duration::from_secs(30), waits).await.expect("it is over").unwrap();
    };
    let (out, waits) = open(0);
    let (idle, idles) = open(0);
    let _ = sessions.end(&out, &cookie).unwrap();
    heard(waits).await;
    assert!(!idles.is_finished(), "another session goes on");
    assert!(find(&sessions, &idle, &cookie, start + IDLE_TIME_MAX).is_none());
    heard(idles).await;
    let (_first, oldest) = open(1);
    let others: Vec<_> = (2..).take(OF_ONE_PERSON_MAX).map(open).collect();
    heard(oldest).await;
    assert!(others.iter().all(|(_, waits)| !waits.is_finished()), "the newest of a person stay");
}

/// Links and sessions work only under their own name.
#[test]
fn a_session_is_one_under_its_own_name_alone() {
    let (sessions, alice, now) = (Sessions::default(), reviewer("alice"), Instant::now());
    let cookie = SessionCookie::new(false, 7411).with_names();
    let names = [None, Some("b"), Some("")];
    let code = sessions.link(&alice, Some("a"), now).unwrap();
    for other in names {
        assert_eq!((sessions.whose(&code, other, now), sessions.follow(&code, other, now)), (None, None), "{other:?}");
    }
    assert_eq!(sessions.follow(&code, Some("a"), now), Some(alice.clone()), "nobody else has used it up");
    let headers = brings(&sessions.open(&alice, Some("a"), &cookie, now).unwrap());
    let value = cookie.value(&headers).unwrap();
    for other in names {
        assert!(sessions.find(value, other, now).is_none(), "{other:?}");
    }
    assert!(sessions.find(value, Some("a"), now).is_some());
    assert!(!SessionCookie::new(true, 7411).with_names().is_named(), "TLS has names of its own");
}
