//! What a person types and reads: plain lines, JSON lines, the operator's console.

pub mod command;
pub mod console;
pub mod input;
pub mod json;
pub mod observe;
pub mod output;
pub mod plain;
mod qr;
pub mod report;
mod screen;
pub mod secret;
pub mod text;
pub mod times;
