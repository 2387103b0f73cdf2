//! Imports a shell. A host that was not told what this function is must refuse the component at load, and name the import.
//!
//! Task: the command that it would run; empty for `id`.

wit_bindgen::generate!({
    world: "overreach",
    inline: "
        package acme:shell@1.0.0;

        interface exec {
            run: func(command: string) -> result<string, string>;
        }

        world overreach {
            import exec;
            export run: func(task: string) -> result<string, string>;
        }
    ",
});

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        acme::shell::exec::run(if task.is_empty() { "id" } else { &task })
    }
}
