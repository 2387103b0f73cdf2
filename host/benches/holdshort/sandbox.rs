//! Measures the cost of the sandbox without the rest of the host: an instance, and a call to the host and back.

use std::time::{Duration, Instant};

use holdshort::agent::{Engine, GuestStart, Manifest, Program, Reader, Step};
use holdshort_gate::Time;
use serde_json::json;

use crate::client::{Connection, Events};
use crate::table::{Table, Times};
use crate::world::{World, client, component, limits, list_files};

fn start(task: String) -> GuestStart {
    GuestStart { task, limits: limits(), seed: [7; 32], created_at: Time(0), arguments_max_bytes: 1 << 20 }
}

pub fn measure(table: &Table) {
    let engine = Engine::new(Reader::in_process(), 16, 4).unwrap();
    let bytes = std::fs::read(component("many-calls")).unwrap();
    let program = engine.compile(&bytes, &Manifest::read(&bytes).unwrap()).unwrap();
    let runtime = client();
    let instances = (0..table.size.instances).map(|_| runtime.block_on(to_first_call(&program)));
    table.times("instantiate, up to the agent's first call", &instances.collect(), "");
    let calls = runtime.block_on(calls(&program, table.size.calls));
    table.times("one routine call, agent to host and back", &calls, "");
    journaled(table);
}

async fn to_first_call(program: &Program) -> Duration {
    let begin = Instant::now();
    let mut guest = program.start(start("routine=1".into()));
    let step = guest.next().await;
    let took = begin.elapsed();
    assert!(matches!(&step, Step::Call(call) if *call.capability == list_files()), "{step:?}");
    took
}

async fn calls(program: &Program, count: u32) -> Times {
    let mut guest = program.start(start(format!("routine={count}")));
    let answer = json!({ "ok": [] });
    let mut step = guest.next().await;
    let mut times = Vec::new();
    while let Step::Call(_) = step {
        let begin = Instant::now();
        guest.answer(&answer, Time(0)).unwrap();
        step = guest.next().await;
        times.push(begin.elapsed());
    }
    assert_eq!(times.len(), usize::try_from(count).unwrap(), "{step:?}");
    times.into_iter().collect()
}

/// Measures a routine call with everything that a run adds: number, action, digest, answer, and a record on its way to
/// the disk.
fn journaled(table: &Table) {
    let folder = table.folder.join("journaled");
    std::fs::create_dir(&folder).unwrap();
    let world = World::open(&folder, Duration::from_secs(60));
    let count = table.size.calls;
    let work = || {
        client().block_on(async {
            let (mut events, mut connection) = (Events::open(world.at).await, Connection::open(world.at).await);
            connection.start("many-calls", "routine=1").await;
            events.finished().await;
            let begin = Instant::now();
            connection.start("many-calls", &format!("routine={count}")).await;
            let result = events.finished().await;
            assert!(result.contains(&format!("listed {count} of {count}")), "{result}");
            begin.elapsed() / count
        })
    };
    let (each, flush) = table.beside_flushes(work);
    let each = format!("{:.1} µs on average", each.as_secs_f64() * 1e6);
    table.number("one routine call, journaled", &each, Some(&flush), "");
}
