//! Imports an interface of ours in a version that this host does not have. It must be refused at load, by name, and not be given another version.
//!
//! Task: ignored.

wit_bindgen::generate!({
    world: "outdated",
    inline: "
        package holdshort:agent@0.2.0;

        interface email {
            send-email: func(to: string) -> result<string, string>;
        }

        world outdated {
            import email;
            export run: func(task: string) -> result<string, string>;
        }
    ",
});

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(_task: String) -> Result<String, String> {
        holdshort::agent::email::send_email("everybody@example.com")
    }
}
