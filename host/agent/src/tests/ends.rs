//! The possible ends of a guest. Each hostile guest ends within its limits and with a clear message, and harms
//! no other guest.

use std::time::{Duration, Instant};

use super::super::{Step, Trap};
use super::*;

const SPIN: &str = r#"(func (export "run") (param i32 i32) (result i32) (loop $on (br $on)) unreachable)"#;

async fn end(bytes: &[u8], start: GuestStart) -> Step {
    load(&engine(), bytes).unwrap().start(start).next().await
}

#[tokio::test]
async fn a_trap_is_the_guests() {
    let unreachable = plain(r#"(func (export "run") (param i32 i32) (result i32) unreachable)"#);
    assert_eq!(end(&unreachable, start("")).await, Step::Trapped(Trap::Unreachable));
    let divides = plain(
        r#"(func (export "run") (param i32 i32) (result i32) (i32.div_u (i32.const 1) (i32.sub (local.get 1) (local.get 1))))"#,
    );
    let Step::Trapped(trap) = end(&divides, start("")).await else { panic!("no trap") };
    assert_eq!(trap.to_string(), "the agent trapped: wasm trap: integer divide by zero");
    assert!(!trap.is_hosts());
}

#[tokio::test]
async fn a_guest_can_refuse_its_task() {
    let refuses =
        plain(r#"(func (export "run") (param i32 i32) (result i32) (call $err (local.get 0) (local.get 1)))"#);
    assert_eq!(end(&refuses, start("why")).await, Step::Finished(Err("why".into())));
}

#[tokio::test]
async fn endless_recursion_is_a_trap() {
    let deep = plain(
        r#"(func $deep (param i32) (result i32) (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (local.get 0)))
           (func (export "run") (param i32 i32) (result i32) (call $deep (i32.const 0)))"#,
    );
    assert_eq!(end(&deep, start("")).await, Step::Trapped(Trap::StackOverflow));
}

/// Both tasks share one thread. If the busy guest did not yield, the other task could not count.
#[tokio::test(flavor = "current_thread")]
async fn a_spinner_lets_others_run_and_is_stopped_at_its_limit() {
    let program = load(&engine(), &plain(SPIN)).unwrap();
    let mut start = start("");
    start.limits.cpu_ms = 100;
    let counter = tokio::spawn(async {
        let mut yields = 0_u32;
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            yields += 1;
        }
        yields
    });
    let mut guest = program.start(start);
    let began = Instant::now();
    assert_eq!(guest.next().await, Step::Trapped(Trap::CpuLimit { limit_ms: 100 }));
    assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
    assert!(guest.meter().used() >= Duration::from_millis(100));
    assert_eq!(counter.await.unwrap(), 50);
}

#[tokio::test]
async fn replay_goes_past_the_limit_and_counts_once_it_is_over() {
    let program = load(&engine(), &plain(SPIN)).unwrap();
    let mut start = start("");
    start.limits.cpu_ms = 20;
    let mut guest = program.start(start);
    guest.replay(true);
    while guest.meter().used() < Duration::from_millis(40) {
        tokio::time::timeout(Duration::from_millis(20), guest.next()).await.unwrap_err();
    }
    guest.replay(false);
    let before = guest.meter().used();
    assert_eq!(guest.next().await, Step::Trapped(Trap::CpuLimit { limit_ms: 20 }));
    assert!(guest.meter().used() < before + Duration::from_millis(20), "it did not get its limit anew");
}

#[tokio::test]
async fn waiting_is_not_counted() {
    let program = load(&engine(), &plain(SPIN)).unwrap();
    let mut guest = program.start(start(""));
    tokio::time::timeout(Duration::from_millis(20), guest.next()).await.unwrap_err();
    let used = guest.meter().used();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(guest.meter().used(), used);
}

#[tokio::test]
async fn a_guest_that_copes_with_too_little_memory_goes_on() {
    // The memory has 2 pages. 32 MiB more would exceed the limit of 16 MiB.
    let copes = plain(
        r#"(func (export "run") (param i32 i32) (result i32)
               (if (i32.ne (memory.grow (i32.const 512)) (i32.const -1)) (then unreachable))
               (if (i32.ne (memory.grow (i32.const 16)) (i32.const 2)) (then unreachable))
               (call $ok (i32.const 0) (i32.const 0)))"#,
    );
    let mut start = start("");
    start.limits.memory_bytes = 16 << 20;
    assert_eq!(end(&copes, start).await, Step::Finished(Ok(String::new())));
}

#[tokio::test]
async fn a_hoarder_ends_at_its_limit() {
    let hoards = plain(
        r#"(func (export "run") (param i32 i32) (result i32)
               (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
               unreachable)"#,
    );
    let mut start = start("");
    start.limits.memory_bytes = 16 << 20;
    let limit_bytes = start.limits.memory_bytes;
    assert_eq!(end(&hoards, start).await, Step::Trapped(Trap::MemoryLimit { limit_bytes }));
}

/// If a guest asks for a size that no memory can have, `memory.grow` returns -1. This does not count as a lack of
/// memory on the machine.
#[tokio::test]
async fn growth_past_the_type_is_refused_by_the_engine() {
    let probes = plain(
        r#"(func (export "run") (param i32 i32) (result i32)
               (drop (memory.grow (i32.const 1)))
               (if (i32.ne (memory.grow (i32.const 65536)) (i32.const -1)) (then unreachable))
               (if (i32.ne (memory.grow (i32.const -1)) (i32.const -1)) (then unreachable))
               (call $ok (i32.const 0) (i32.const 0)))"#,
    );
    assert_eq!(end(&probes, start("")).await, Step::Finished(Ok(String::new())));
}

#[tokio::test]
async fn tables_count_as_memory() {
    let hoards = plain(
        r#"(table $table 1 funcref)
           (func (export "run") (param i32 i32) (result i32)
               (loop $more (br_if $more (i32.ne (table.grow $table (ref.null func) (i32.const 1000)) (i32.const -1))))
               unreachable)"#,
    );
    let mut start = start("");
    start.limits.memory_bytes = 200 << 10;
    assert_eq!(end(&hoards, start).await, Step::Trapped(Trap::MemoryLimit { limit_bytes: 200 << 10 }));
}

#[tokio::test]
async fn memory_that_is_too_large_from_the_start_is_the_guests() {
    let large = plain(
        r#"(memory $own 1000) (func (export "run") (param i32 i32) (result i32) (call $ok (i32.const 0) (i32.const 0)))"#,
    );
    let mut start = start("");
    start.limits.memory_bytes = 16 << 20;
    assert_eq!(end(&large, start).await, Step::Trapped(Trap::MemoryLimit { limit_bytes: 16 << 20 }));
}
