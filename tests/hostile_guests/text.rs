//! Attacks that no compiler makes: components written as text, each with a few instructions.

use std::process::Command;

use serde_json::json;

use crate::support::{self, Folder, HOLDSHORT, Host};
use crate::{decide_honest, folder, honest};

/// A component: its parts, and words about how its run ends.
struct Attack {
    what: &'static str,
    /// Definitions of the main core module beside `run`.
    core: &'static str,
    /// Definitions of the component beside its main module.
    beside: &'static str,
    /// The body of `run`.
    run: &'static str,
    /// The function that is called with the address of the result, after the result was read.
    after: &'static str,
    said: &'static str,
}

const PLAIN: Attack = Attack { what: "", core: "", beside: "", run: "(i32.const 16)", after: "", said: "" };

const ATTACKS: &[Attack] = &[
    Attack { what: "nothing but a good end", said: "\"ok\":\"\"", ..PLAIN },
    Attack {
        what: "an endless loop before anything of it is called",
        core: "(func $begin (loop $on (br $on))) (start $begin)",
        said: "used up its 500 ms of CPU time",
        ..PLAIN
    },
    Attack {
        what: "a trap before anything of it is called",
        core: "(func $begin unreachable) (start $begin)",
        said: "`unreachable`",
        ..PLAIN
    },
    Attack {
        what: "an impossible call before anything of it is called",
        core: "(func $begin (call $read (i32.const 0) (i32.const 0x7fffffff) (i32.const 64))) (start $begin)",
        said: "invalid call",
        ..PLAIN
    },
    Attack {
        what: "a call with more than may pass at once, before anything of it is called",
        core: "(func $begin (drop (memory.grow (i32.const 128))) (call $read (i32.const 0) (i32.const 0x800000) (i32.const 64))) (start $begin)",
        said: "one call passes more than",
        ..PLAIN
    },
    Attack {
        what: "a table that grows without end",
        core: "(table $table 1 funcref)",
        run: "(loop $more (br_if $more (i32.ne (table.grow $table (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable",
        said: "needs more than its 16777216 bytes of memory",
        ..PLAIN
    },
    Attack {
        what: "a table that is too large from the start",
        core: "(table $table 0x10000000 funcref)",
        said: "a minimum element size of 268435456 which exceeds the limit",
        ..PLAIN
    },
    Attack {
        what: "five memories, of which there are four for each",
        beside: "(core module $more (memory 1)) (core instance (instantiate $more)) (core instance (instantiate $more)) \
                 (core instance (instantiate $more)) (core instance (instantiate $more))",
        said: "5 Wasm linear memories, which exceeds the configured maximum of 4",
        ..PLAIN
    },
    Attack {
        what: "an endless loop after its result was read",
        after: "(loop $on (br $on))",
        said: "used up its 500 ms of CPU time",
        ..PLAIN
    },
    Attack { what: "a trap after its result was read", after: "unreachable", said: "`unreachable`", ..PLAIN },
    Attack {
        what: "a call after its result was read",
        after: "(call $read (i32.const 0) (i32.const 1) (i32.const 64))",
        said: "cannot leave component instance",
        ..PLAIN
    },
    Attack {
        what: "a result that lies outside of its memory",
        run: "(i32.const 0x7ffffff0)",
        said: "out of bounds",
        ..PLAIN
    },
    Attack {
        what: "a text that lies outside of its memory",
        run: "(i32.store (i32.const 20) (i32.const 0x7fffff00)) (i32.store (i32.const 24) (i32.const 0x100)) (i32.const 16)",
        said: "out of bounds",
        ..PLAIN
    },
    Attack {
        what: "a text that is none",
        run: "(i32.store8 (i32.const 32) (i32.const 0xff)) (i32.store (i32.const 20) (i32.const 32)) (i32.store (i32.const 24) (i32.const 1)) (i32.const 16)",
        said: "utf-8",
        ..PLAIN
    },
    Attack {
        what: "a result that is neither good nor bad",
        run: "(i32.store8 (i32.const 16) (i32.const 2)) (i32.const 16)",
        said: "discriminant",
        ..PLAIN
    },
];

fn component(attack: &Attack) -> Vec<u8> {
    let Attack { core, beside, run, after, .. } = attack;
    let text = format!(
        r#"(component
            (import "holdshort:agent/workspace@0.1.0" (instance $workspace
                (export "read-file" (func (param "path" string) (result (result string (error string)))))))
            {beside}
            (core module $libc
                (memory (export "memory") 2)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
            (core instance $libc (instantiate $libc))
            (alias core export $libc "memory" (core memory $memory))
            (alias core export $libc "realloc" (core func $realloc))
            (core func $read (canon lower (func $workspace "read-file") (memory $memory) (realloc $realloc)))
            (core instance $host (export "read" (func $read)))
            (core module $main
                (import "libc" "memory" (memory 1))
                (import "host" "read" (func $read (param i32 i32 i32)))
                {core}
                (func (export "run") (param i32 i32) (result i32) {run})
                (func (export "after") (param i32) {after}))
            (core instance $main (instantiate $main (with "libc" (instance $libc)) (with "host" (instance $host))))
            (func $run (param "task" string) (result (result string (error string)))
                (canon lift (core func $main "run") (memory $memory) (realloc $realloc) (post-return (core func $main "after"))))
            (export "run" (func $run)))"#
    );
    wat::parse_str(text).unwrap_or_else(|error| panic!("{}: {error}", attack.what))
}

#[test]
fn what_no_compiler_makes_ends_alone_too() {
    let folder = folder(&["many-calls"], "cpu-ms = 500\nmemory-mib = 16");
    let mut sections = std::fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    for (number, attack) in ATTACKS.iter().enumerate() {
        std::fs::write(folder.path().join(format!("text-{number}.wasm")), component(attack)).unwrap();
        sections += &format!("\n[agents.text-{number}]\ncomponent = \"text-{number}.wasm\"\n");
    }
    folder.configure(&sections);
    let host = folder.serve();
    let mut wrong = Vec::new();
    for (number, attack) in ATTACKS.iter().enumerate() {
        let beside = honest(&host);
        let row = end(&host, &format!("text-{number}"));
        decide_honest(&host, &beside);
        if !row.contains(attack.said) {
            wrong.push(format!("{}: `{}` is not in {row}", attack.what, attack.said));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A few bytes that claim to begin a section of four gigabytes. Here the memory is limited to less, so a reader that
/// reserved four gigabytes would be killed.
#[test]
fn a_file_that_lies_about_its_length() {
    let folder = Folder::new(&[], "");
    let honest = std::fs::read(support::component("spin")).unwrap();
    std::fs::write(folder.path().join("honest.wasm"), &honest).unwrap();
    std::fs::write(folder.path().join("lying.wasm"), [&honest, [0, 0xff, 0xff, 0xff, 0xff, 0x0f].as_slice()].concat())
        .unwrap();
    let inspect = |file: &str| {
        let line = "ulimit -v 800000; exec \"$0\" inspect \"$1\"";
        let output =
            Command::new("sh").args(["-c", line, HOLDSHORT, file]).current_dir(folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(inspect("honest.wasm").0, Some(0));
    let (status, said) = inspect("lying.wasm");
    assert!(status == Some(2) && said.contains("is cut off after"), "{status:?}: {said}");
}

/// How a run of an agent ends, in the host's words. If the run does not end, the function says that.
fn end(host: &Host, agent: &str) -> String {
    let (status, answer) = host.post("/v1/runs", &json!({ "agent": agent, "task": "" }));
    if status != 201 {
        return answer.to_string();
    }
    let run = answer["id"].as_str().unwrap();
    for _ in 0..500 {
        let row = host.show_run(run);
        if !["running", "delayed", "sleeping", "waiting"].contains(&row["state"].as_str().unwrap()) {
            return row.to_string();
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    format!("it does not end: {} {}", host.show_run(run), host.said().lines().last().unwrap_or_default())
}
