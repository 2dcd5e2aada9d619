//! What every store must hold, as tests that any of them can run.
