//! Calls and their answers.

use holdshort_gate::Time;
use serde_json::json;

use super::super::{Step, Trap};
use super::*;

const CALLS: &str = r#"
    (type $calls (instance
        (export "echo" (func (param "text" string) (result string)))
        (export "weigh" (func (param "weight" f64)))))
    (import "acme:calls/calls@1.2.3" (instance $calls (type $calls)))"#;

const LOWER_ECHO: &str = r#"
    (core func $echo (canon lower (func $calls "echo") (memory $memory) (realloc $realloc)))
    (core instance $host (export "echo" (func $echo)))"#;

/// A component that calls `echo` with its task and returns the answer.
fn echo() -> Vec<u8> {
    component(
        CALLS,
        LOWER_ECHO,
        r#"(import "host" "echo" (func $echo (param i32 i32 i32)))
           (func (export "run") (param i32 i32) (result i32)
               (call $echo (local.get 0) (local.get 1) (i32.const 32))
               (call $ok (i32.load (i32.const 32)) (i32.load (i32.const 36))))"#,
    )
}

/// A component that calls `weigh` with `number`, which is written as in WebAssembly's text form.
fn weigh(number: &str) -> Vec<u8> {
    component(
        CALLS,
        r#"(core func $weigh (canon lower (func $calls "weigh")))
           (core instance $host (export "weigh" (func $weigh)))"#,
        &format!(
            r#"(import "host" "weigh" (func $weigh (param f64)))
               (func (export "run") (param i32 i32) (result i32)
                   (call $weigh (f64.const {number}))
                   (call $ok (i32.const 0) (i32.const 0)))"#
        ),
    )
}

#[tokio::test]
async fn a_call_reaches_the_task_and_its_answer_the_guest() {
    let program = load(&engine(), &echo()).unwrap();
    let mut guest = program.start(start("wörds"));
    let call = call(&mut guest).await;
    assert_eq!(call.capability.to_string(), "acme:calls/calls@1.2.3#echo");
    assert_eq!(call.arguments, json!({ "text": "wörds" }));
    guest.answer(&json!("and back"), CREATED).unwrap();
    assert_eq!(guest.next().await, Step::Finished(Ok("and back".into())));
}

#[tokio::test]
async fn a_result_of_another_type_is_refused_and_the_guest_waits_on() {
    let program = load(&engine(), &echo()).unwrap();
    let mut guest = program.start(start("x"));
    call(&mut guest).await;
    let mismatch = guest.answer(&json!(5), CREATED).unwrap_err();
    assert_eq!(mismatch.to_string(), "`value`: expected a string, found 5");
    guest.answer(&json!("fine"), CREATED).unwrap();
    assert_eq!(guest.next().await, Step::Finished(Ok("fine".into())));
    assert!(guest.answer(&json!("again"), CREATED).is_err());
}

#[tokio::test]
async fn driving_on_without_an_answer_or_after_the_end_is_the_hosts_mistake() {
    let program = load(&engine(), &echo()).unwrap();
    let mut guest = program.start(start("x"));
    call(&mut guest).await;
    let Step::Trapped(trap) = guest.next().await else { panic!("it ran on") };
    assert!(trap.is_hosts(), "{trap}");
    guest.answer(&json!("late"), CREATED).unwrap();
    assert_eq!(guest.next().await, Step::Finished(Ok("late".into())));
    let Step::Trapped(trap) = guest.next().await else { panic!("it ran on") };
    assert!(trap.is_hosts(), "{trap}");
}

#[tokio::test]
async fn a_number_that_cannot_be_shown_ends_the_guest_and_names_the_parameter() {
    let engine = engine();
    for number in ["nan", "inf", "-inf"] {
        let mut guest = load(&engine, &weigh(number)).unwrap().start(start(""));
        let expected = "`weight` is not a finite number, and only finite numbers can be shown to a reviewer in a call of `acme:calls/calls@1.2.3#weigh`";
        assert_eq!(guest.next().await, Step::Trapped(Trap::HostCall(expected.into())));
    }
}

#[tokio::test]
async fn a_function_without_result_takes_null_and_negative_zero_is_zero() {
    let mut guest = load(&engine(), &weigh("-0")).unwrap().start(start(""));
    assert_eq!(call(&mut guest).await.arguments.to_string(), r#"{"weight":0}"#);
    assert!(guest.answer(&json!(1), CREATED).is_err());
    guest.answer(&json!(null), CREATED).unwrap();
    assert_eq!(guest.next().await, Step::Finished(Ok(String::new())));
}

#[tokio::test]
async fn parking_one_guest_leaves_the_others_and_replay_repeats_it() {
    let program = load(&engine(), &echo()).unwrap();
    let (mut parked, mut other) = (program.start(start("a")), program.start(start("b")));
    let before = call(&mut parked).await;
    call(&mut other).await;
    drop(parked);
    other.answer(&json!("on"), CREATED).unwrap();
    assert_eq!(other.next().await, Step::Finished(Ok("on".into())));

    let mut replayed = program.start(start("a"));
    replayed.replay(true);
    assert_eq!(call(&mut replayed).await, before);
    replayed.answer(&json!("again"), Time(CREATED.0 + 1)).unwrap();
    assert_eq!(replayed.next().await, Step::Finished(Ok("again".into())));
}

#[tokio::test]
async fn more_live_guests_than_the_engine_allows_is_the_hosts_failure() {
    let engine = Engine::new(Reader::in_process(), 2, 2).unwrap();
    let program = load(&engine, &echo()).unwrap();
    let mut live = Vec::new();
    for _ in 0..2 {
        let mut guest = program.start(start("x"));
        call(&mut guest).await;
        live.push(guest);
    }
    let Step::Trapped(trap) = program.start(start("x")).next().await else { panic!("a third guest") };
    assert!(trap.is_hosts(), "{trap}");
    live.pop();
    call(&mut program.start(start("x"))).await;
}

/// The guest passes a string that is longer than the limit for a call. The host must not copy any of it.
#[tokio::test]
async fn a_huge_argument_ends_the_guest_before_it_is_copied() {
    let huge = component(
        CALLS,
        LOWER_ECHO,
        r#"(import "host" "echo" (func $echo (param i32 i32 i32)))
           (func (export "run") (param i32 i32) (result i32)
               (drop (memory.grow (i32.const 512)))
               (call $echo (i32.const 0) (i32.const 33000000) (i32.const 32))
               unreachable)"#,
    );
    let Step::Trapped(trap) = load(&engine(), &huge).unwrap().start(start("")).next().await else { panic!("no trap") };
    assert_eq!(
        trap.to_string(),
        "the agent made an invalid call to the host: one call passes more than 1048576 bytes; pass a path and a digest instead of contents"
    );
}

#[tokio::test]
async fn a_huge_result_of_the_run_ends_it_too() {
    let huge = plain(
        r#"(func (export "run") (param i32 i32) (result i32)
               (drop (memory.grow (i32.const 512)))
               (call $ok (i32.const 0) (i32.const 33000000)))"#,
    );
    let Step::Trapped(trap) = load(&engine(), &huge).unwrap().start(start("")).next().await else { panic!("no trap") };
    assert!(trap.to_string().contains("1048576 bytes"), "{trap}");
}

#[tokio::test]
async fn a_string_outside_the_guests_memory_ends_it() {
    let outside = component(
        CALLS,
        LOWER_ECHO,
        r#"(import "host" "echo" (func $echo (param i32 i32 i32)))
           (func (export "run") (param i32 i32) (result i32)
               (call $echo (i32.const 130000) (i32.const 100000) (i32.const 32))
               unreachable)"#,
    );
    let Step::Trapped(trap) = load(&engine(), &outside).unwrap().start(start("")).next().await else {
        panic!("no trap")
    };
    assert!(!trap.is_hosts(), "{trap}");
}
