//! The operator's commands: frames of their own kind over the ordinary link.

use crate::clock::Clock;
use crate::connection::{ConnectError, Connection, Dial, Incoming};
use crate::endpoint::Endpoint;
use std::collections::VecDeque;
use undertone_wire::frame::{Code, OperatorCommand, Reply, Request};
use undertone_wire::link::LinkSecret;

/// A link with the operator's key.
#[derive(Debug)]
pub struct OperatorLink {
    connection: Connection,
    replies: VecDeque<Reply>,
}

/// An operator's command failed.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The relay cannot be reached, or ended the link.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The relay refused.
    #[error("the relay refused: {0}")]
    Refused(Code),
}

/// Of the only request on a link.
const SEQ: u32 = 1;

impl OperatorLink {
    /// Connects, and asks for one thing.
    pub fn ask(
        endpoint: Endpoint,
        secret: LinkSecret,
        command: OperatorCommand,
    ) -> Result<Self, OperatorError> {
        let dial = &mut Dial::Socket(endpoint);
        let connection = Connection::open(dial, secret, None, Clock::start())?;
        let link = Self { connection, replies: VecDeque::new() };
        link.until_up()?;
        if !link.connection.send(vec![Request::Operator { seq: SEQ, command }]) {
            return Err(ConnectError::Stuck.into());
        }
        Ok(link)
    }

    fn until_up(&self) -> Result<(), ConnectError> {
        loop {
            match self.connection.incoming().recv().map_err(|_| ConnectError::Closed)? {
                Incoming::Up { .. } => return Ok(()),
                Incoming::Down(error) => return Err(error),
                Incoming::Phase(_) | Incoming::Frames(_) => {}
            }
        }
    }

    /// The next thing that the relay says.
    pub fn next_reply(&mut self) -> Result<Reply, OperatorError> {
        loop {
            match self.replies.pop_front() {
                Some(Reply::Refused { seq: SEQ, code, .. }) => {
                    return Err(OperatorError::Refused(code));
                }
                Some(reply) => return Ok(reply),
                None => {}
            }
            match self.connection.incoming().recv().map_err(|_| ConnectError::Closed)? {
                Incoming::Frames(replies) => self.replies.extend(replies),
                Incoming::Down(error) => return Err(error.into()),
                Incoming::Phase(_) | Incoming::Up { .. } => {}
            }
        }
    }
}
