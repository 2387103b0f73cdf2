//! Imports a function that takes a resource, deep inside a record. What a person could not be shown must be refused at load, by name,
//! although the operator has classified the interface.
//!
//! Task: ignored.

wit_bindgen::generate!({
    world: "smuggle",
    inline: "
        package acme:vault@1.0.0;

        interface keys {
            resource key;

            record parcel {
                note: string,
                inside: list<option<tuple<u8, key>>>,
            }

            take: func() -> key;
            hand-over: func(parcel: parcel) -> result<string, string>;
        }

        world smuggle {
            import keys;
            export run: func(task: string) -> result<string, string>;
        }
    ",
});

use acme::vault::keys::{self, Parcel};

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(_task: String) -> Result<String, String> {
        keys::hand_over(Parcel { note: "nothing to see".into(), inside: vec![Some((0, keys::take()))] })
    }
}
