//! `httpx` in an agent in Python, over the example's transport on `wasi:http`.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::json;

use crate::support::evidence::figure;
use crate::support::top;
use crate::{first_run, installed, project, succeeds};

const WORLD: &str = "package my:agent;\nworld program {\n    import holdshort:agent/email@0.1.0;\n    import wasi:http/outgoing-handler@0.2.12;\n    \
                     export run: func(task: string) -> result<string, string>;\n}\n";

#[test]
fn httpx_sends_requests_that_the_host_holds() {
    let Some(tools) = installed("python", "Python") else { return };
    let Some(packages) = installed("packages", "Python") else { return };
    let (folder, build) = project("python", "assistant");
    symlink(tools, folder.path().join(".venv")).unwrap();
    let copy = |from: &str, to: &str| fs::copy(top().join(from), folder.path().join(to)).unwrap();
    copy("tests/data/authors/http.py", "src/app.py");
    copy("guest-examples/python/http_transport.py", "src/http_transport.py");
    for package in fs::read_dir(top().join("guest-examples/fixtures/wasi")).unwrap().map(Result::unwrap) {
        fs::copy(package.path(), folder.path().join("wit/deps").join(package.file_name())).unwrap();
    }
    folder.write("wit/world.wit", WORLD);
    succeeds(&folder, &build.replace("-p src", &format!("-p src -p {}", packages.display())), &[]);

    let (port, got) = server();
    folder.configure(&format!(
        "[agents.my-agent]\ncomponent = \"agent.wasm\"\n[limits]\nlinger-ms = 0\n[http.\"127.0.0.1:{port}\"]\n\
         routine = [\"GET\"]\nconsequential = [\"POST\"]\nallow-http = true\nallow-private = true\n"
    ));
    let url = format!("http://127.0.0.1:{port}");
    let host = folder.serve();
    let run = first_run(&host, &url);
    let post = host.held(&run);
    let arguments = &post["proposal"]["action"]["arguments"];
    assert_eq!((&arguments["method"], &arguments["url"]), (&json!("POST"), &json!(format!("{url}/b"))));
    assert!(arguments["body"]["text"].as_str().is_some_and(|body| body.contains("üü")), "the body is shown");
    host.kill();
    let host = folder.serve();
    host.approve(&post);
    let over = host.over(&run);
    let expected = "200 text/plain; charset=utf-8 100000\n201 made of 10008 bytes\n200 got\n403";
    assert_eq!(over["result"]["ok"], expected, "{}", over["state"]);
    let got = got.lock().unwrap().clone();
    assert_eq!(got, ["GET /a?q=1+2 two", "POST /b ", "GET /c "], "each request is sent once");
    figure("T44", "requests of `httpx` in an agent, each sent once", got.len() as u64);
}

/// A server, and the requests that it has got: method, path and the header `x-one`.
fn server() -> (u16, Arc<Mutex<Vec<String>>>) {
    let got = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&got);
    let answer = move |method: Method, url: Uri, headers: HeaderMap, body: String| async move {
        let one = headers.get("x-one").map_or("", |value| value.to_str().unwrap());
        kept.lock().unwrap().push(format!("{method} {url} {one}"));
        match url.path() {
            "/b" => (StatusCode::CREATED, format!("made of {} bytes", body.len())),
            "/c" => (StatusCode::OK, "got".into()),
            _ => (StatusCode::OK, "y".repeat(100_000)),
        }
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, Router::new().fallback(answer)).await.unwrap();
        });
    });
    (port, got)
}
