//! The deterministic subset of WASI: time, waiting, random numbers, output, and the parts that the subset lacks.

use holdshort_gate::Time;
use serde_json::{Value, json};

use super::super::{Entry, Step, Trap};
use super::*;

const HOUR_US: u64 = 3_600_000_000;

/// A component that reports numbers through `acme:report/report#tell`, with WASI's clocks, poll and
/// random at deliberately different versions.
fn reporter(core: &str) -> Vec<u8> {
    component(
        r#"(type $report (instance (export "tell" (func (param "n" u64)))))
           (import "acme:report/report" (instance $report (type $report)))
           (import "wasi:io/poll@0.2.1" (instance $poll
               (export "pollable" (type $pollable (sub resource)))
               (export "[method]pollable.ready" (func (param "self" (borrow $pollable)) (result bool)))
               (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
               (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
           (alias export $poll "pollable" (type $pollable))
           (import "wasi:clocks/monotonic-clock@0.2.9" (instance $monotonic
               (alias outer 1 $pollable (type $outer))
               (export "pollable" (type $pollable (eq $outer)))
               (export "now" (func (result u64)))
               (export "subscribe-instant" (func (param "when" u64) (result (own $pollable))))
               (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
           (import "wasi:clocks/wall-clock@0.2.30" (instance $wall
               (type $datetime' (record (field "seconds" u64) (field "nanoseconds" u32)))
               (export "datetime" (type $datetime (eq $datetime')))
               (export "now" (func (result $datetime)))))
           (import "wasi:random/random@0.2.0" (instance $random (export "get-random-u64" (func (result u64)))))
           (import "wasi:random/insecure-seed@0.2.0" (instance $seed
               (export "insecure-seed" (func (result (tuple u64 u64))))))"#,
        r#"(core func $tell (canon lower (func $report "tell")))
           (core func $ready (canon lower (func $poll "[method]pollable.ready")))
           (core func $block (canon lower (func $poll "[method]pollable.block")))
           (core func $poll (canon lower (func $poll "poll") (memory $memory) (realloc $realloc)))
           (core func $drop (canon resource.drop $pollable))
           (core func $mono (canon lower (func $monotonic "now")))
           (core func $at (canon lower (func $monotonic "subscribe-instant")))
           (core func $after (canon lower (func $monotonic "subscribe-duration")))
           (core func $wall (canon lower (func $wall "now") (memory $memory)))
           (core func $random (canon lower (func $random "get-random-u64")))
           (core func $seed (canon lower (func $seed "insecure-seed") (memory $memory)))
           (core instance $host
               (export "tell" (func $tell)) (export "ready" (func $ready)) (export "block" (func $block))
               (export "poll" (func $poll)) (export "drop" (func $drop)) (export "mono" (func $mono))
               (export "at" (func $at)) (export "after" (func $after)) (export "wall" (func $wall))
               (export "random" (func $random)) (export "seed" (func $seed)))"#,
        &format!(
            r#"(import "host" "tell" (func $tell (param i64)))
               (import "host" "ready" (func $ready (param i32) (result i32)))
               (import "host" "block" (func $block (param i32)))
               (import "host" "poll" (func $poll (param i32 i32 i32)))
               (import "host" "drop" (func $drop (param i32)))
               (import "host" "mono" (func $mono (result i64)))
               (import "host" "at" (func $at (param i64) (result i32)))
               (import "host" "after" (func $after (param i64) (result i32)))
               (import "host" "wall" (func $wall (param i32)))
               (import "host" "random" (func $random (result i64)))
               (import "host" "seed" (func $seed (param i32)))
               (func (export "run") (param i32 i32) (result i32) (local $a i32) (local $b i32) (local $c i32)
                   {core}
                   (call $ok (i32.const 0) (i32.const 0)))"#
        ),
    )
}

/// Runs a guest, and returns the numbers that it reported and the ends of its sleeps. Each call is answered one hour
/// after the call before, and the sleeps end on time.
async fn drive(bytes: &[u8], start: GuestStart) -> (Vec<Value>, Step) {
    let mut guest = load(&engine(), bytes).unwrap().start(start);
    let (mut seen, mut now) = (Vec::new(), CREATED.0);
    loop {
        let step = guest.next().await;
        match step {
            Step::Call(call) => {
                seen.push(call.arguments["n"].clone());
                now += HOUR_US;
                guest.answer(&Value::Null, Time(now)).unwrap();
            }
            Step::Sleep { until } => {
                seen.push(json!({ "until": until.0 - CREATED.0 }));
                now = until.0;
                guest.wake(until);
            }
            Step::Output { .. } | Step::Finished(_) | Step::Trapped(_) => return (seen, step),
        }
    }
}

async fn told(core: &str) -> Vec<Value> {
    let (seen, step) = drive(&reporter(core), start("")).await;
    assert_eq!(step, Step::Finished(Ok(String::new())));
    seen
}

#[tokio::test]
async fn the_clock_moves_when_read_and_to_the_time_of_what_is_delivered() {
    let seen = told(
        r#"(call $tell (call $mono)) (call $tell (call $mono)) (call $tell (call $mono))
           (call $wall (i32.const 64)) (call $tell (i64.load (i32.const 64)))
           (call $wall (i32.const 64)) (call $tell (i64.extend_i32_u (i32.load (i32.const 72))))"#,
    )
    .await;
    // The first three numbers are the monotonic clock in nanoseconds, with an hour between two answers. The last two
    // are the wall clock.
    assert_eq!(seen, ["1000", "3600000000000", "7200000000000", "1700010800", "0"].map(Value::from));
}

#[tokio::test]
async fn a_wait_is_a_sleep_and_what_is_due_needs_none() {
    let seen = told(
        r#"(local.set $a (call $after (i64.const 7200000000000)))
           (call $tell (i64.extend_i32_u (call $ready (local.get $a))))
           (call $block (local.get $a))
           (call $tell (call $mono))
           (call $tell (i64.extend_i32_u (call $ready (local.get $a))))
           (call $block (local.get $a))
           (call $drop (local.get $a))
           (call $block (call $at (i64.const 5)))"#,
    )
    .await;
    let until = 2 * HOUR_US + 1;
    assert_eq!(seen, [json!("0"), json!({ "until": until }), json!((until * 1000 + 1000).to_string()), json!("1")]);
}

/// There are three timers in one list. The two earliest are due at the same microsecond, and are reported
/// in list order.
#[tokio::test]
async fn poll_sleeps_until_the_earliest_and_reports_in_list_order() {
    let seen = told(
        r#"(i32.store (i32.const 64) (call $at (i64.const 9000000)))
           (i32.store (i32.const 68) (call $at (i64.const 5000000)))
           (i32.store (i32.const 72) (call $at (i64.const 4999001)))
           (call $poll (i32.const 64) (i32.const 3) (i32.const 80))
           (call $tell (i64.extend_i32_u (i32.load (i32.const 84))))
           (call $tell (i64.extend_i32_u (i32.load (i32.load (i32.const 80)))))
           (call $tell (i64.extend_i32_u (i32.load offset=4 (i32.load (i32.const 80)))))"#,
    )
    .await;
    assert_eq!(seen, [json!({ "until": 5000 }), json!("2"), json!("1"), json!("2")]);
}

#[tokio::test]
async fn woken_too_early_it_sleeps_on() {
    let bytes = reporter("(call $block (call $at (i64.const 5000000)))");
    let mut guest = load(&engine(), &bytes).unwrap().start(start(""));
    let until = Time(CREATED.0 + 5000);
    assert_eq!(guest.next().await, Step::Sleep { until });
    guest.wake(Time(CREATED.0 + 4000));
    assert_eq!(guest.next().await, Step::Sleep { until });
    guest.wake(until);
    assert_eq!(guest.next().await, Step::Finished(Ok(String::new())));
}

/// The clock counts nanoseconds in 64 bits, so the longest wait ends 584 years after the run's creation. This date can
/// still be written.
#[tokio::test]
async fn the_longest_wait_has_an_end_that_can_be_written() {
    let bytes = reporter("(call $block (call $after (i64.const -1)))");
    let mut guest = load(&engine(), &bytes).unwrap().start(start(""));
    assert_eq!(guest.next().await, Step::Sleep { until: Time(CREATED.0 + u64::MAX.div_ceil(1000)) });
}

#[tokio::test]
async fn an_empty_poll_is_the_guests_mistake() {
    let (_, step) = drive(&reporter("(call $poll (i32.const 64) (i32.const 0) (i32.const 80))"), start("")).await;
    assert_eq!(step, Step::Trapped(Trap::HostCall("empty poll list".into())));
}

/// Each resource takes memory of the host, which the guest's memory limit does not count. So resources have a limit
/// of their own.
#[tokio::test]
async fn a_guest_that_makes_resources_without_end_is_stopped() {
    let too_many = "the agent holds more than 10000 resources at once, such as pollables; drop unused resources";
    let limits = holdshort_gate::RunLimits { cpu_ms: 60_000, ..limits() };
    let run = async |bytes: &[u8]| drive(bytes, GuestStart { limits: limits.clone(), ..start("") }).await.1;
    let timers = |count: u32, then: &str| {
        reporter(&format!(
            "(loop $more
                 ({then} (call $after (i64.const 1)))
                 (local.set $a (i32.add (local.get $a) (i32.const 1)))
                 (br_if $more (i32.lt_u (local.get $a) (i32.const {count}))))"
        ))
    };
    // A timer takes two handles.
    assert_eq!(run(&timers(4_000, "drop")).await, Step::Finished(Ok(String::new())));
    assert_eq!(run(&timers(6_000, "drop")).await, Step::Trapped(Trap::HostCall(too_many.into())));
    assert_eq!(run(&timers(20_000, "call $drop")).await, Step::Finished(Ok(String::new())), "dropped makes room");

    // Resources of the guest's own type are in no table of the host, and a guest can make them without any import.
    let own = |then: &str| {
        component(
            "",
            r#"(type $own (resource (rep i32)))
               (core func $new (canon resource.new $own))
               (core func $drop (canon resource.drop $own))
               (core instance $host (export "new" (func $new)) (export "drop" (func $drop)))"#,
            &format!(
                r#"(import "host" "new" (func $new (param i32) (result i32)))
                   (import "host" "drop" (func $drop (param i32)))
                   (func (export "run") (param i32 i32) (result i32) (local $made i32)
                       (loop $more
                           ({then} (call $new (i32.const 7)))
                           (local.set $made (i32.add (local.get $made) (i32.const 1)))
                           (br_if $more (i32.lt_u (local.get $made) (i32.const 50000))))
                       (call $ok (i32.const 0) (i32.const 0)))"#
            ),
        )
    };
    assert_eq!(run(&own("drop")).await, Step::Trapped(Trap::HostCall(too_many.into())));
    assert_eq!(run(&own("call $drop")).await, Step::Finished(Ok(String::new())), "what is dropped makes room");
}

#[tokio::test]
async fn randomness_is_the_seeds() {
    let bytes = reporter(
        r#"(call $tell (call $random)) (call $tell (call $random))
           (call $seed (i32.const 64)) (call $tell (i64.load (i32.const 64))) (call $tell (i64.load (i32.const 72)))"#,
    );
    let seeded = |seed: u8| GuestStart { seed: [seed; 32], ..start("") };
    let (first, _) = drive(&bytes, seeded(1)).await;
    assert_eq!(first, drive(&bytes, seeded(1)).await.0);
    let (second, _) = drive(&bytes, seeded(2)).await;
    let mut all: Vec<String> = first.iter().chain(&second).map(ToString::to_string).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 8, "every number differs from every other: {all:?}");
}

/// A WASI program that prints its arguments, one on each line, to standard output and standard error in turn. Then
/// it does `last`.
fn program(last: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
            (alias export $error "error" (type $error))
            (import "wasi:io/streams@0.2.4" (instance $streams
                (alias outer 1 $error (type $outer))
                (export "error" (type $error (eq $outer)))
                (export "output-stream" (type $stream (sub resource)))
                (type $failed (variant (case "last-operation-failed" (own $error)) (case "closed")))
                (export "stream-error" (type $stream-error (eq $failed)))
                (export "[method]output-stream.blocking-write-and-flush"
                    (func (param "self" (borrow $stream)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
            (alias export $streams "output-stream" (type $stream))
            (import "wasi:cli/stdout@0.2.0" (instance $stdout
                (alias outer 1 $stream (type $outer))
                (export "output-stream" (type $stream (eq $outer)))
                (export "get-stdout" (func (result (own $stream))))))
            (import "wasi:cli/stderr@0.2.0" (instance $stderr
                (alias outer 1 $stream (type $outer))
                (export "output-stream" (type $stream (eq $outer)))
                (export "get-stderr" (func (result (own $stream))))))
            (import "wasi:cli/environment@0.2.0" (instance $environment
                (export "get-arguments" (func (result (list string))))
                (export "get-environment" (func (result (list (tuple string string)))))))
            (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
            (core module $libc
                (memory (export "memory") 2)
                (global $next (mut i32) (i32.const 4096))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
                    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                    (global.set $next (i32.add (local.get $at) (local.get 3)))
                    (local.get $at)))
            (core instance $libc (instantiate $libc))
            (alias core export $libc "memory" (core memory $memory))
            (alias core export $libc "realloc" (core func $realloc))
            (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $memory)))
            (core func $stdout (canon lower (func $stdout "get-stdout")))
            (core func $stderr (canon lower (func $stderr "get-stderr")))
            (core func $arguments (canon lower (func $environment "get-arguments") (memory $memory) (realloc $realloc)))
            (core func $environment (canon lower (func $environment "get-environment") (memory $memory) (realloc $realloc)))
            (core func $exit (canon lower (func $exit "exit")))
            (core instance $host (export "write" (func $write)) (export "stdout" (func $stdout)) (export "stderr" (func $stderr))
                (export "arguments" (func $arguments)) (export "environment" (func $environment)) (export "exit" (func $exit)))
            (core module $main
                (import "libc" "memory" (memory 1))
                (import "host" "write" (func $write (param i32 i32 i32 i32)))
                (import "host" "stdout" (func $stdout (result i32)))
                (import "host" "stderr" (func $stderr (result i32)))
                (import "host" "arguments" (func $arguments (param i32)))
                (import "host" "environment" (func $environment (param i32)))
                (import "host" "exit" (func $exit (param i32)))
                (data (i32.const 128) "\n")
                (func (export "run") (result i32) (local $out i32) (local $err i32)
                    (local.set $out (call $stdout))
                    (local.set $err (call $stderr))
                    (call $environment (i32.const 32))
                    (if (i32.load (i32.const 36)) (then unreachable))
                    (call $arguments (i32.const 32))
                    (if (i32.ne (i32.load (i32.const 36)) (i32.const 2)) (then unreachable))
                    (call $write (local.get $out) (i32.load (i32.load (i32.const 32))) (i32.load offset=4 (i32.load (i32.const 32))) (i32.const 48))
                    (call $write (local.get $out) (i32.const 128) (i32.const 1) (i32.const 48))
                    (call $write (local.get $err) (i32.load offset=8 (i32.load (i32.const 32))) (i32.load offset=12 (i32.load (i32.const 32))) (i32.const 48))
                    {last}))
            (core instance $main (instantiate $main (with "libc" (instance $libc)) (with "host" (instance $host))))
            (func $run (result (result)) (canon lift (core func $main "run")))
            (instance $exported (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $exported)))"#
    );
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn a_wasi_program_gets_the_task_and_its_output_becomes_lines() {
    let engine = engine();
    let bytes = program("(i32.const 0)");
    let manifest = Manifest::read(&bytes).unwrap();
    assert_eq!((manifest.entry, manifest.imports.len(), manifest.wasi.len()), (Entry::WasiCli, 0, 6));
    let line = |level, text: &str| Step::Output { level, text: text.into() };
    let ends = [
        ("(i32.const 0)", Ok(String::new())),
        ("(i32.const 1)", Err("exit status 1".to_owned())),
        ("(call $exit (i32.const 0)) unreachable", Ok(String::new())),
        ("(call $exit (i32.const 1)) unreachable", Err("exit status 1".to_owned())),
    ];
    for (last, end) in ends {
        let mut guest = load(&engine, &program(last)).unwrap().start(start("do\nit"));
        assert_eq!(guest.next().await, line("stdout", "agent"));
        assert_eq!(guest.next().await, line("stderr", "do"));
        assert_eq!(guest.next().await, line("stderr", "it"));
        assert_eq!(guest.next().await, Step::Finished(end));
    }
}

/// A guest prints two megabytes. The part that is kept comes in lines of limited length, and the guest cannot tell that
/// a part was dropped.
#[tokio::test]
async fn a_flood_of_output_is_cut_into_lines() {
    let flood = program(
        r#"(loop $more
               (call $write (local.get $out) (i32.const 65536) (i32.const 4096) (i32.const 48))
               (i32.store (i32.const 60) (i32.add (i32.load (i32.const 60)) (i32.const 1)))
               (br_if $more (i32.lt_u (i32.load (i32.const 60)) (i32.const 512))))
           (i32.const 0)"#,
    );
    let (lines, step) = finish(&mut load(&engine(), &flood).unwrap().start(start("x"))).await;
    assert_eq!(step, Step::Finished(Ok(String::new())));
    assert!(lines.len() > 10, "{}", lines.len());
    assert!(lines.iter().all(|line| line.len() <= 4096));
}
