//! Only a `Start` command that succeeds makes a permit.
use holdshort_gate::{Action, Digest, EffectKey, Permit, RunId, Time};

fn make(action: Action, clearance: Digest) -> Permit {
    Permit {
        run: RunId("r".into()),
        agent: "release".into(),
        call: 1,
        attempt: 1,
        clearance,
        action,
        connector: "maildir".into(),
        preconditions: serde_json::Value::Null,
        material: false,
        similar_effects: Vec::new(),
        key: EffectKey("key".into()),
        perform_by: Time(0),
    }
}

fn main() {}
