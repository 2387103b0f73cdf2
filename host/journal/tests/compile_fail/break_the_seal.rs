//! Code outside the gate cannot implement the sealing trait.
struct ClearEverything;

impl holdshort_gate::command::sealed::Sealed for ClearEverything {}

fn main() {}
