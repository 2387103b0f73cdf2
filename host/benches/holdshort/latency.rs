//! Measures how long one reviewer or one call waits, with one run at a time.

use std::time::{Duration, Instant};

use crate::client::{Connection, Events};
use crate::table::{Table, Times};
use crate::world::{World, client, effects};

struct Latencies {
    visible: Vec<Duration>,
    effect: Vec<Duration>,
    finished: Vec<Duration>,
}

pub fn measure(table: &Table) {
    for (name, linger) in [("live", Duration::from_secs(600)), ("parked", Duration::ZERO)] {
        let (latencies, flush) = table.beside_flushes(|| latencies(table, name, linger));
        let Latencies { visible, effect, finished } = latencies;
        if name == "live" {
            let visible: Times = visible.into_iter().collect();
            table.durable_times("hold → visible", &visible, &flush, "1.5 flushes + 0.5 ms");
        }
        let effect = effect.into_iter().collect();
        table.durable_times(&format!("decision → effect, {name}"), &effect, &flush, "3 flushes + 0.5 ms");
        let finished = finished.into_iter().collect();
        table.durable_times(&format!("decision → the run has ended, {name}"), &finished, &flush, "");
    }
}

fn latencies(table: &Table, name: &str, linger: Duration) -> Latencies {
    let folder = table.folder.join(name);
    std::fs::create_dir(&folder).unwrap();
    let world = World::open(&folder, linger);
    let mut found = Latencies { visible: Vec::new(), effect: Vec::new(), finished: Vec::new() };
    client().block_on(async {
        let (mut events, mut connection) = (Events::open(world.at).await, Connection::open(world.at).await);
        let warm_up = table.size.latencies / 10;
        for n in 0..warm_up + table.size.latencies {
            connection.start("many-calls", "held=1").await;
            // Visible means that a reviewer who watches the stream has the whole call and the digest to decide on.
            let held = events.held().await;
            let visible = Instant::now() - world.connector.previewed();
            // A live run has an instance and a task. A parked run needs some time until both are gone.
            while name == "parked" && world.live() > 0 {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            assert_eq!(world.live(), usize::from(name == "live"));
            let begin = Instant::now();
            connection.decide(&held, "approve").await;
            let result = events.finished().await;
            let finished = begin.elapsed();
            assert!(result.contains("sent 1 of 1"), "{result}");
            if n >= warm_up {
                found.visible.push(visible);
                found.effect.push(world.connector.entered() - begin);
                found.finished.push(finished);
            }
        }
        assert_eq!(effects(&folder), usize::try_from(warm_up + table.size.latencies).unwrap());
    });
    found
}
