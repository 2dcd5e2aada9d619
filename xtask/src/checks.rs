//! What is checked without building anything.

pub(crate) mod arrows;
pub(crate) mod dependencies;
pub(crate) mod found_tests;
pub(crate) mod promises;
pub(crate) mod purity;
pub(crate) mod reach;
pub(crate) mod supply;
pub(crate) mod words;
