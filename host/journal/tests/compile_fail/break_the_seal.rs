//! Code outside the gate cannot implement the trait `Sealed`, and so cannot define a command.
struct ClearEverything;

impl holdshort_gate::command::sealed::Sealed for ClearEverything {}

fn main() {}
