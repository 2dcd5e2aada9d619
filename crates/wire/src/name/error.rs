/// Why a text is not a name. Each message ends a sentence that begins with "a name".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was written.
    #[error("must have at least one character")]
    Empty,
    /// More than [`MAX_CHARS`](super::MAX_CHARS) characters.
    #[error("has at most {} characters", super::MAX_CHARS)]
    TooLong,
    /// A space, a tab, a line break.
    #[error("has no white space in it")]
    WhiteSpace,
    /// A character that commands and lines put around names.
    #[error("has no {0} in it")]
    Punctuation(char),
    /// A control character, a direction mark, or one that does not show.
    #[error("has no invisible characters in it")]
    Invisible,
    /// A character that is neither letter nor digit nor ASCII: a symbol, a picture, a form that
    /// has a plainer one.
    #[error("is made of letters, digits and plain punctuation, without {0}")]
    Character(char),
    /// Letters that cannot stand together: two directions, a mark without its letter.
    #[error("must be readable in one way only")]
    Unclear,
    /// It would be taken for a member's id.
    #[error("must not look like an id")]
    UuidLike,
    /// It is the operator's, or would be taken for it.
    #[error("that looks like Server belongs to the operator")]
    Reserved,
}
