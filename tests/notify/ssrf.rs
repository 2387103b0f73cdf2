//! No webhook can reach an address that only this machine or its network can reach: not with another spelling of the
//! address, not with a name, and not with a redirect.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdshort::config::WebUrl;
use holdshort::notify::webhook::WebhookResponse;
use holdshort::notify::{Format, Notice, Webhook};
use holdshort_common::outbound::address::refused;
use holdshort_common::outbound::{Addresses, Lookup};
use holdshort_gate::Time;

use crate::evidence::figure;
use crate::receiver::{Receiver, Reply};

/// A listener that counts the connections to it. Returns its port and the count.
fn canary() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0")).unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    std::thread::spawn(move || {
        listener.incoming().for_each(|_| {
            counted.fetch_add(1, Ordering::SeqCst);
        })
    });
    (port, count)
}

fn webhook(
    url: &str,
    rule: fn(IpAddr) -> Option<&'static str>,
    lookup: Option<Arc<Lookup>>,
) -> Result<Webhook, String> {
    let url: WebUrl = url.parse()?;
    Ok(Webhook { url: url.0, secret: None, format: Format::Chat, addresses: Addresses { rule, lookup } })
}

fn send(webhook: &Webhook) -> Result<WebhookResponse, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(webhook.send(&Notice::test("1", Time(0)), "http://here", Time(0))).map_err(|not_told| not_told.why)
}

/// Spellings of this machine, of private, shared, link-local and reserved networks, and of addresses that are mapped to
/// one of these.
const ADDRESSES: &[&str] = &[
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7F.1",
    "0x7f.0x0.0x0.0x1",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "00000177.0.0.1",
    "127.0.0.01",
    "0",
    "0.0.0.0",
    "0x0",
    "0.1.2.3",
    "localhost",
    "LocalHost",
    "localhost.",
    "%31%32%37.0.0.1",
    "１２７.０.０.１",
    "127。0。0。1",
    "someone@127.0.0.1",
    "example.org@127.0.0.1",
    "127.0.0.1#example.org",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b::a00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2002:c0a8:101::]",
    "[2001::7f00:1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[100::1]",
    "[5f00::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[fec0::1]",
    "[ff02::1]",
    "[ff0e::1]",
    "10.0.0.1",
    "10.255.255.255",
    "0x0a000001",
    "167772161",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "2886729729",
    "192.168.0.1",
    "192.168.1.1",
    "0xc0a80101",
    "3232235777",
    "0300.0250.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.254",
    "169.254.169.254",
    "169.254.170.2",
    "0xa9fea9fe",
    "2852039166",
    "0251.0376.0251.0376",
    "0xA9.254.0251.254",
    "169.254.43518",
    "168.63.129.16",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.254",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
];

#[test]
fn no_spelling_of_a_private_address_is_reached() {
    let (port, count) = canary();
    let mut judged = 0;
    for address in ADDRESSES {
        let url = format!("http://{address}:{port}/");
        let url = if address.contains('#') { format!("http://127.0.0.1:{port}/#x") } else { url };
        let why = match webhook(&url, refused, None) {
            Ok(webhook) => send(&webhook).expect_err(&url),
            Err(why) => why,
        };
        judged += usize::from(why.contains("is refused: the address "));
    }
    assert_eq!(count.load(Ordering::SeqCst), 0, "connections to the canary");
    assert!(judged >= 60, "{judged} were judged; the others are no addresses to this system");
    figure("T15", "addresses", ADDRESSES.len().try_into().unwrap());
    // The listener does count a permitted connection. So the count of zero above proves something.
    let answer = send(&webhook(&format!("http://127.0.0.1:{port}/"), |_| None, None).unwrap());
    assert!(answer.is_err() && count.load(Ordering::SeqCst) == 1, "{answer:?}");
}

#[test]
fn addresses_of_the_public_internet_are_not_refused() {
    let public = "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 93.184.216.34 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1 \
                  169.253.0.1 169.255.0.1 172.15.255.255 172.32.0.1 192.0.1.1 192.167.0.1 192.169.0.1 198.17.0.1 198.20.0.1 \
                  203.0.112.1 223.255.255.255 2606:4700::1111 2a00:1450:4001::1 2001:4860:4860::8888 \
                  ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1";
    for address in public.split_whitespace() {
        assert_eq!(refused(address.parse().unwrap()), None, "{address}");
    }
}

/// In these tests 127.0.0.1 stands for a public address. Every other address that is normally refused is refused here
/// too.
fn but_one(address: IpAddr) -> Option<&'static str> {
    if address == IpAddr::from(Ipv4Addr::LOCALHOST) { None } else { refused(address) }
}

#[test]
fn a_name_is_looked_up_once_and_all_of_it_is_judged() {
    let (receiver, (port, count)) = (Receiver::start(), canary());
    let (good, bad) = (SocketAddr::from(([127, 0, 0, 1], receiver.port)), SocketAddr::from(([127, 0, 0, 2], port)));
    let lookups = Arc::new(AtomicUsize::new(0));
    let asked = lookups.clone();
    // A name server that gives another answer each time.
    let rebinding: Arc<Lookup> = Arc::new(move |host, port| {
        assert_eq!((host, port), ("hooks.example.org", 80));
        Ok(match asked.fetch_add(1, Ordering::SeqCst) {
            0 => vec![good],
            1 => vec![bad],
            _ => vec![good, bad],
        })
    });
    let target = webhook("http://hooks.example.org/x", but_one, Some(rebinding)).unwrap();
    assert_eq!(send(&target).unwrap().status, 204, "a good address gets it");
    assert_eq!(receiver.got()[0].headers["host"], "hooks.example.org");
    assert_eq!(lookups.load(Ordering::SeqCst), 1, "what was judged is what is connected to");
    for _ in 0..2 {
        let why = send(&target).unwrap_err();
        assert!(why.contains("127.0.0.2, the address of `hooks.example.org`, is refused"), "{why}");
    }
    assert_eq!((receiver.got().len(), count.load(Ordering::SeqCst)), (1, 0));
}

#[test]
fn no_redirect_is_followed() {
    let (port, count) = canary();
    let receiver = Receiver::answering(move |_, _| Reply::Moved(format!("http://127.0.0.1:{port}/")));
    let why = send(&webhook(&receiver.url(), but_one, None).unwrap()).unwrap_err();
    assert_eq!(why, "the target answered 307, a redirect, which is not followed");
    for status in [301, 302, 303, 308] {
        let receiver = Receiver::answering(move |_, _| Reply::Status(status));
        assert!(send(&webhook(&receiver.url(), but_one, None).unwrap()).unwrap_err().contains("redirect"));
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

/// The path of a webhook may be the target's secret, so no error shows it.
#[test]
fn no_error_names_the_path() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [format!("http://127.0.0.1:{closed}/marked?marked"), "http://nowhere.invalid/marked".to_owned()] {
        let target = webhook(&url, but_one, None).unwrap();
        let why = send(&target).unwrap_err();
        assert!(!why.contains("marked"), "{why}");
        assert!(!format!("{:?}", WebUrl(target.url)).contains("marked"));
    }
    for wrong in ["http://", "ftp://marked/x", "https://marked@host/", "marked", "https://host/#marked"] {
        assert!(!wrong.parse::<WebUrl>().unwrap_err().contains("marked"));
    }
}
