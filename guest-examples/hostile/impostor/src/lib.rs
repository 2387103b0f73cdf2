//! Imports an interface that is called as ours is, but of another package. It must be refused at load, by name: nobody classified it.
//!
//! Task: ignored.

wit_bindgen::generate!({
    world: "impostor",
    inline: "
        package holdshorts:agent@0.1.0;

        interface email {
            send-email: func(to: string) -> result<string, string>;
        }

        world impostor {
            import email;
            export run: func(task: string) -> result<string, string>;
        }
    ",
});

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(_task: String) -> Result<String, String> {
        holdshorts::agent::email::send_email("everybody@example.com")
    }
}
