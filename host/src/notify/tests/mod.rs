use std::time::Duration;

use super::*;

/// The example in the Standard Webhooks libraries.
#[test]
fn a_signature_is_the_standards() {
    let secret = sign::Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_eq!(format!("{secret:?}"), "(secret)");
    for wrong in
        ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"]
    {
        assert!(sign::Secret::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_pause_that_a_target_asks_for_is_read_and_bounded() {
    let now = 1_700_000_000; // Tue, 14 Nov 2023 22:13:20 GMT
    for (asked, seconds) in [
        ("0", Some(0)),
        ("7", Some(7)),
        (" 120 ", Some(120)),
        ("3600", Some(3600)),
        ("3601", Some(3600)),
        ("99999999999999999999999", Some(3600)),
        ("Tue, 14 Nov 2023 22:13:50 GMT", Some(30)),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", Some(30)),
        ("Tue Nov 14 22:13:50 2023", Some(30)),
        ("Tue, 14 Nov 2023 22:13:20 GMT", Some(0)),
        ("Tue, 14 Nov 2000 22:13:50 GMT", Some(0)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(3600)),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1e3", None),
        ("soon", None),
        ("Tue, 14 Nov 2023", None),
    ] {
        assert_eq!(webhook::pause(asked, now).map(|pause| pause.as_secs()), seconds, "{asked:?}");
    }
}

#[test]
fn waits_grow_and_are_spread() {
    let retry = Retry { times: 11, first: Duration::from_secs(1) };
    let whole: Vec<u64> = (1..=retry.times).map(|failed| retry.wait(failed, u32::MAX).as_secs()).collect();
    assert_eq!(whole, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900]);
    for failed in [1, 5, 11, 40, u32::MAX] {
        assert_eq!(retry.wait(failed, 0) * 2, retry.wait(failed, u32::MAX), "from a half to the whole");
        let between = retry.wait(failed, u32::MAX / 3);
        assert!(retry.wait(failed, 0) < between && between < retry.wait(failed, u32::MAX));
    }
    assert_eq!(retry.wait(u32::MAX, u32::MAX).as_secs(), 900);
}
