//! Every bound of the wire, with its arithmetic.

/// Largest frame in bytes. The Welcome that lets 64 members into a classic group of 1,000 carries
/// a ratchet tree of about 260 KB; four times that leaves room for post-quantum rooms of 64.
pub const MAX_FRAME: usize = 1 << 20;

/// Largest frame before registration: a registration is under 2 KiB.
pub const MAX_FRAME_UNREGISTERED: usize = 8 << 10;

/// Largest body of one log entry: a frame less its envelope (ids, token, numbers: under 256 bytes).
pub const MAX_ENTRY: usize = MAX_FRAME - 1024;

/// Largest sealed inbox entry: a hybrid Welcome for two is about 11 KB, sealing and padding double it.
pub const MAX_INBOX_ENTRY: usize = 32 << 10;

/// Largest key package: ML-KEM-1024 + P-384 is 3.5 KB.
pub const MAX_KEY_PACKAGE: usize = 8 << 10;

/// Key packages one frame may publish.
pub const MAX_PUBLISHED: usize = 32;

/// Largest public key of an inbox: X-Wing's is 1,216 bytes.
pub const MAX_INBOX_KEY: usize = 1_536;

/// Members named in one user list; beyond it the list says that there are more.
pub const MAX_USER_LIST: usize = 2_048;

/// Longest text of a person in bytes of UTF-8. Longer is refused with a clear error, never cut.
pub const MAX_TEXT: usize = 16 << 10;

/// Longest text inside a chat request, in bytes: one line to say who is asking.
pub const MAX_REQUEST_TEXT: usize = 1 << 10;

/// Longest label (invites) and address an operator's frame carries, in bytes.
pub const MAX_LABEL: usize = 128;

/// Invites one operator's list carries.
pub const MAX_INVITES: usize = 1_024;

/// Members that one answer to the operator names: with 300 bytes each it stays under 40 KiB, and the
/// store is not kept busy for one answer.
pub const MAX_MEMBERS: usize = 128;

/// Members that one invite may let in, where it has a bound: each is remembered, so that nobody is
/// counted twice. An invite for more has none.
pub const MAX_INVITE_USES: u32 = 1_000;

/// Numbers in one answer to the operator: all codes, and some forty others.
pub const MAX_FIGURES: usize = 128;
