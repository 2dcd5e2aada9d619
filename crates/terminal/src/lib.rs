//! What a person types and reads: plain lines, JSON lines, the operator's console.

pub mod command;
pub mod input;
pub mod output;
pub mod plain;
pub mod report;
pub mod text;
pub mod times;
