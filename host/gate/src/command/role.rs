//! The commands that each role of the host may write. The journal gives each role a handle that accepts only its
//! commands.

use super::{
    CancelRun, Command, CreateRun, CreateRunOnce, Decide, Delay, EndRun, Expire, FindRun, Finish, FireTimer, Propose,
    RecordRoutine, Resolve, Revoke, SetTimer, Start,
};

/// Defines the roles' commands. Other packages cannot add a command, because `Command` is sealed.
macro_rules! roles {
    ($($(#[$meta:meta])* $role:ident: $($command:ty),+;)+) => {$(
        $(#[$meta])*
        pub trait $role: Command {}
        $(impl $role for $command {})+
    )+};
}

roles! {
    /// The commands of the task that drives a run and has its lease: what the agent did.
    #[diagnostic::on_unimplemented(message = "`{Self}` is no command of the task that drives a run")]
    RunCommand: RecordRoutine, Propose, SetTimer, FireTimer, EndRun;
    /// The commands of the driver that need no lease. They record that runs begin and are delayed, and that deadlines
    /// pass.
    #[diagnostic::on_unimplemented(message = "`{Self}` is no command of the driver")]
    DriverCommand: CreateRun, CreateRunOnce, FindRun, Delay, FireTimer, Expire;
    /// The commands of the dispatcher. They record that effects begin and end.
    #[diagnostic::on_unimplemented(message = "`{Self}` is no command of the dispatcher")]
    DispatcherCommand: Start, Finish, Expire;
    /// The commands of the desk. They record what people decide.
    #[diagnostic::on_unimplemented(message = "`{Self}` is no command of the desk")]
    DeskCommand: Decide, Resolve, Revoke, CancelRun;
}
