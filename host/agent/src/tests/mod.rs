//! Small components in text form, each of which tests one behaviour, and the built examples.

mod ends;
mod refusals;
mod run;
mod values;
mod wasi;

use holdshort_gate::{RunLimits, Time};

use super::{Engine, Guest, GuestStart, HostCall, LoadError, Manifest, Program, Reader, Step};

pub(super) const CREATED: Time = Time(1_700_000_000_000_000);

pub(super) fn limits() -> RunLimits {
    RunLimits { cpu_ms: 2_000, memory_bytes: 64 << 20, held_calls: 10, calls: 1_000_000, journal_bytes: 1 << 20 }
}

pub(super) fn start(task: &str) -> GuestStart {
    GuestStart { task: task.into(), limits: limits(), seed: [7; 32], created_at: CREATED, arguments_max_bytes: 1 << 20 }
}

pub(super) fn engine() -> Engine {
    Engine::new(Reader::in_process(), 16, 4).unwrap()
}

pub(super) fn load(engine: &Engine, bytes: &[u8]) -> Result<Program, LoadError> {
    let manifest = Manifest::read(bytes)?;
    engine.compile(bytes, &manifest)
}

/// A component that exports `run`. `imports` are component-level definitions. `lower` makes core functions of them and
/// names these in an instance called `$host`. `core` is the body of a core module. The module imports the core
/// functions from `host`, gets the task as parameters, and returns the address of a result.
///
/// The module uses the memory of `libc`, whose functions `ok` and `err` make a result from a string.
pub(super) fn component(imports: &str, lower: &str, core: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            {imports}
            (core module $libc
                (memory (export "memory") 2)
                (global $next (mut i32) (i32.const 4096))
                (func $realloc (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
                    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                    (global.set $next (i32.add (local.get $at) (local.get 3)))
                    (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
                        (then (if (i32.eq (memory.grow (i32.const 64)) (i32.const -1)) (then unreachable))))
                    (if (local.get 1) (then (memory.copy (local.get $at) (local.get 0) (local.get 1))))
                    (local.get $at))
                (func $result (param $tag i32) (param $text i32) (param $length i32) (result i32)
                    (i32.store8 (i32.const 16) (local.get $tag))
                    (i32.store (i32.const 20) (local.get $text))
                    (i32.store (i32.const 24) (local.get $length))
                    (i32.const 16))
                (func (export "ok") (param i32 i32) (result i32) (call $result (i32.const 0) (local.get 0) (local.get 1)))
                (func (export "err") (param i32 i32) (result i32) (call $result (i32.const 1) (local.get 0) (local.get 1))))
            (core instance $libc (instantiate $libc))
            (alias core export $libc "memory" (core memory $memory))
            (alias core export $libc "realloc" (core func $realloc))
            {lower}
            (core module $main
                (import "libc" "memory" (memory 1))
                (import "libc" "ok" (func $ok (param i32 i32) (result i32)))
                (import "libc" "err" (func $err (param i32 i32) (result i32)))
                {core})
            (core instance $main (instantiate $main (with "libc" (instance $libc)) (with "host" (instance $host))))
            (func $run (param "task" string) (result (result string (error string)))
                (canon lift (core func $main "run") (memory $memory) (realloc $realloc)))
            (export "run" (func $run)))"#
    );
    wat::parse_str(text).unwrap()
}

/// A component without imports.
pub(super) fn plain(core: &str) -> Vec<u8> {
    component("", "(core instance $host)", core)
}

/// Runs a guest that neither calls nor sleeps. Returns its output and its last step.
pub(super) async fn finish(guest: &mut Guest) -> (Vec<String>, Step) {
    let mut lines = Vec::new();
    loop {
        let step = guest.next().await;
        let Step::Output { text, .. } = step else { return (lines, step) };
        lines.push(text);
    }
}

/// The guest's next step. The test fails if it is not a call.
pub(super) async fn call(guest: &mut Guest) -> HostCall {
    match guest.next().await {
        Step::Call(call) => call,
        step @ (Step::Sleep { .. } | Step::Output { .. } | Step::Finished(_) | Step::Trapped(_)) => {
            panic!("{step:?} instead of a call")
        }
    }
}
