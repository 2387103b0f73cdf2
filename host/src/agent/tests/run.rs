//! Calls and their answers, and how a guest may end.

use holdshort_gate::Time;
use serde_json::json;

use super::super::{Step, Trap};
use super::*;

const ECHO: &str = r#"
    (type $calls (instance
        (export "echo" (func (param "text" string) (result string)))))
    (import "acme:calls/calls@1.2.3" (instance $calls (type $calls)))"#;

const LOWER_ECHO: &str = r#"
    (core func $echo (canon lower (func $calls "echo") (memory $memory) (realloc $realloc)))
    (core instance $host (export "echo" (func $echo)))"#;

/// Calls `echo` with its task and returns what it gets.
pub(super) fn echo() -> Vec<u8> {
    component(
        ECHO,
        LOWER_ECHO,
        r#"(import "host" "echo" (func $echo (param i32 i32 i32)))
           (func (export "run") (param i32 i32) (result i32)
               (call $echo (local.get 0) (local.get 1) (i32.const 32))
               (call $ok (i32.load (i32.const 32)) (i32.load (i32.const 36))))"#,
    )
}

#[tokio::test]
async fn a_call_reaches_the_task_and_its_answer_the_guest() {
    let program = load(&engine(), &echo()).unwrap();
    let mut guest = program.start(start("wörds"));
    let Step::Call(call) = guest.next().await else { panic!("no call") };
    assert_eq!(call.capability.to_string(), "acme:calls/calls@1.2.3#echo");
    assert_eq!(call.arguments, json!({ "text": "wörds" }));
    guest.answer(&json!("and back"), Time(CREATED.0 + 5)).unwrap();
    assert_eq!(guest.next().await, Step::Finished(Ok("and back".into())));
}
