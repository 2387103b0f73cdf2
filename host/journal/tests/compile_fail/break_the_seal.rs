//! And the seal cannot be put on from outside.
struct ClearEverything;

impl holdshort_gate::command::sealed::Sealed for ClearEverything {}

fn main() {}
