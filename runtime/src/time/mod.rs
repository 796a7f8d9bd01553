//! Waiting for time.
