//! The subset of WASI 0.2 for agents. It is enough for a language's runtime. It gives no access to anything outside,
//! and every replay of it is the same.
//!
//! There are no files (no folder is open), no sockets (creating one is denied), no environment and no standard input.
//! [`clock`](super::clock) has clocks and waiting, [`output`](super::output) has output, and [`http`](super::http) has
//! requests, each of which is a call. Random numbers come from the run's seed. The linker matches versions, so a guest
//! built for any 0.2.x finds these interfaces.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;

use super::clock::Clock;
use super::http::Http;
use super::output::{Channel, Output};
use super::step::GuestStart;

/// Every interface that [`link`](super::wasi_link::link) provides.
const OFFERED: [&str; 28] = [
    "cli/environment",
    "cli/exit",
    "cli/stderr",
    "cli/stdin",
    "cli/stdout",
    "cli/terminal-input",
    "cli/terminal-output",
    "cli/terminal-stderr",
    "cli/terminal-stdin",
    "cli/terminal-stdout",
    "clocks/monotonic-clock",
    "clocks/wall-clock",
    "filesystem/preopens",
    "filesystem/types",
    "http/types",
    "io/error",
    "io/poll",
    "io/streams",
    "random/insecure",
    "random/insecure-seed",
    "random/random",
    "sockets/instance-network",
    "sockets/ip-name-lookup",
    "sockets/network",
    "sockets/tcp",
    "sockets/tcp-create-socket",
    "sockets/udp",
    "sockets/udp-create-socket",
];

/// The maximum number of random bytes per call. It is more than any seed needs, and little memory for the host.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// The maximum number of a guest's handles: pollables (a timer takes two), streams, and its own resources. An agent
/// that waits for many things at once needs far fewer.
///
/// The guest's memory limit does not count the host's memory for handles. A handle takes a few hundred bytes, so all of
/// them take a few MiB at most. An HTTP request takes up to 16 KiB with its headers and its path, so all of them take
/// 160 MiB at most.
pub(super) const RESOURCES_MAX: usize = 10_000;

/// Whether the subset contains this interface, which is written `wasi:package/name@version`.
pub(super) fn offers(interface: &str) -> bool {
    let Some((name, version)) = interface.strip_prefix("wasi:").and_then(|rest| rest.split_once('@')) else {
        return false;
    };
    is_0_2(version) && OFFERED.contains(&name)
}

/// Whether this is the interface with which guests make HTTP requests.
pub(super) fn is_outgoing_handler(interface: &str) -> bool {
    interface.strip_prefix("wasi:http/outgoing-handler@").is_some_and(is_0_2)
}

/// Whether a component with this export is a WASI program.
pub(super) fn is_cli_run(interface: &str) -> bool {
    interface.strip_prefix("wasi:cli/run@").is_some_and(is_0_2)
}

/// Whether the version is a release of 0.2. A pre-release does not count, because it differs from the releases.
fn is_0_2(version: &str) -> bool {
    version
        .strip_prefix("0.2.")
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The state that a guest's WASI calls use.
pub(super) struct Wasi {
    pub(super) table: ResourceTable,
    pub(super) context: WasiCtx,
    http: Http,
}

impl Wasi {
    /// The state of a guest that has not run yet. For each kind of random numbers, the seed gives a separate stream. So
    /// reading numbers of one kind does not change the others.
    pub(super) fn new(start: &GuestStart, clock: &Clock, output: &Output, arguments: &[&str]) -> Self {
        let stream = |number| {
            let mut random = ChaCha20Rng::from_seed(start.seed);
            random.set_stream(number);
            random
        };
        let mut insecure_seed = [0; 16];
        stream(2).fill_bytes(&mut insecure_seed);
        let context = WasiCtx::builder()
            .args(arguments)
            .stdout(output.stream(Channel::Stdout))
            .stderr(output.stream(Channel::Stderr))
            .secure_random(stream(0))
            .insecure_random(stream(1))
            .insecure_random_seed(u128::from_le_bytes(insecure_seed))
            .max_random_size(RANDOM_BYTES_MAX)
            .wall_clock(clock.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        Self { table, context, http: Http::new(start.arguments_max_bytes) }
    }

    /// The state of HTTP requests, and the table that contains the requests.
    pub(super) fn http(&mut self) -> (&mut Http, &mut ResourceTable) {
        (&mut self.http, &mut self.table)
    }
}
