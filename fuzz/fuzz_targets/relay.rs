//! The relay's brain, asked for anything by several connections at once, over a store that is slow
//! or fails.
#![no_main]

undertone_fuzz::target!(undertone_fuzz::relays::run);
