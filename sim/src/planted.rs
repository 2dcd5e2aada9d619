//! Bugs put into the shells on purpose, to see that the simulator sees them.

/// One bug. All of them live in the simulator's own shells, disks and networks: the brains are the
/// product's, untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A client's disk says that it synced, and did not.
    ClientSyncDoesNothing,
    /// A client sends before its write-set is committed.
    ClientSendsBeforeCommit,
    /// A client shows before its write-set is committed.
    ClientShowsBeforeCommit,
    /// After a crash an old write-set is there again.
    OldWriteSetComesBack,
    /// A client's rows about what it showed are never written.
    ShownRowsAreLost,
    /// What a client staged in the step of a tick is not committed.
    TickIsNotCommitted,
    /// The relay's store says that it synced, and did not.
    RelaySyncDoesNothing,
    /// The relay's store answers before it commits.
    RelayAnswersBeforeCommit,
    /// One reply of the relay's store in a hundred never arrives.
    RepliesAreDropped,
    /// Reading a log begins one entry too late.
    CursorIsOffByOne,
    /// Two frames for one connection change places.
    FramesChangePlaces,
    /// The relay takes any token for the right one.
    TokenIsNotChecked,
    /// The relay writes entries without the header that goes with them.
    HeaderIsNotWritten,
    /// Of a client's write-set that was under way a crash leaves the first half.
    WriteSetIsTorn,
    /// The relay lets go of one entry more than its readers said.
    TrimIsOneTooFar,
    /// A client's timers run by the clock on the wall.
    TimersRunByTheWall,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::ClientSyncDoesNothing,
        Self::ClientSendsBeforeCommit,
        Self::ClientShowsBeforeCommit,
        Self::OldWriteSetComesBack,
        Self::ShownRowsAreLost,
        Self::TickIsNotCommitted,
        Self::RelaySyncDoesNothing,
        Self::RelayAnswersBeforeCommit,
        Self::RepliesAreDropped,
        Self::CursorIsOffByOne,
        Self::FramesChangePlaces,
        Self::TokenIsNotChecked,
        Self::HeaderIsNotWritten,
        Self::WriteSetIsTorn,
        Self::TrimIsOneTooFar,
        Self::TimersRunByTheWall,
    ];
}
