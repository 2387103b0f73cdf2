//! Measures throughput: many runs at the same time, each started over HTTP, held, shown, approved over HTTP, performed,
//! woken and ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::client::{Connection, Events, Held, Told};
use crate::table::Table;
use crate::world::{World, client, effects};

/// The maximum number of connections of the client. Below it, the client has one connection for each run at the same
/// time.
const CONNECTIONS_MAX: u32 = 64;

pub fn measure(table: &Table) {
    for calls in [1, 10] {
        for at_once in [1, 32, 256] {
            let name = format!("cycles-{at_once}-{calls}");
            if !table.wants(&name) {
                continue;
            }
            let folder = table.folder.join(name);
            std::fs::create_dir(&folder).unwrap();
            let world = World::open(&folder, Duration::from_millis(500));
            // One run at a time is slow, and a tenth of the cycles is enough for the figure.
            let approvals = if at_once == 1 { table.size.approvals / 10 } else { table.size.approvals };
            let total = (approvals / calls).max(at_once.min(4));
            let work = || {
                client().block_on(async {
                    let warm_up = total.div_ceil(10);
                    cycles(world.at, at_once, calls, warm_up).await;
                    let took = cycles(world.at, at_once, calls, total).await;
                    let done = usize::try_from((warm_up + total) * calls).unwrap();
                    assert_eq!(effects(&folder), done, "every approval had one effect");
                    f64::from(total * calls) / took.as_secs_f64()
                })
            };
            let (rate, flush) = table.beside_flushes(work);
            let what = format!("approve cycles a second, {at_once} runs at once, {calls} calls each");
            let aim = if (at_once, calls) == (32, 1) { "1,800" } else { "" };
            table.number(&what, &format!("{rate:.0}"), Some(&flush), aim);
        }
    }
}

/// The next request of a connection.
enum Ask {
    Start,
    Approve(Held),
}

/// Drives `total` runs of `calls` calls each to their ends, `at_once` runs at the same time. Returns the time that this
/// took.
pub async fn cycles(at: SocketAddr, at_once: u32, calls: u32, total: u32) -> Duration {
    let mut events = Events::open(at).await;
    let (asks, queue) = unbounded_channel();
    let queue = Arc::new(Mutex::new(queue));
    let mut connections = Vec::new();
    for _ in 0..at_once.min(CONNECTIONS_MAX) {
        let connection = Connection::open(at).await;
        connections.push(tokio::spawn(serve(connection, queue.clone(), format!("held={calls}"))));
    }
    let begin = Instant::now();
    let (mut started, mut finished) = (0, 0);
    let mut start = || {
        if started < total {
            started += 1;
            asks.send(Ask::Start).unwrap();
        }
    };
    (0..at_once).for_each(|_| start());
    while finished < total {
        match events.next().await {
            Told::Held(held) => asks.send(Ask::Approve(held)).unwrap(),
            Told::Finished(run, result) => {
                assert!(result.contains(&format!("sent {calls} of {calls}")), "run {run}: {result}");
                finished += 1;
                start();
            }
        }
    }
    let took = begin.elapsed();
    drop(asks);
    for connection in connections {
        connection.await.unwrap();
    }
    took
}

async fn serve(mut connection: Connection, queue: Arc<Mutex<UnboundedReceiver<Ask>>>, task: String) {
    loop {
        let ask = queue.lock().await.recv().await;
        match ask {
            None => return,
            Some(Ask::Start) => drop(connection.start("many-calls", &task).await),
            Some(Ask::Approve(held)) => connection.decide(&held, "approve").await,
        }
    }
}
