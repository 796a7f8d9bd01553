//! Loxley: asyncio for Rust, on every core.
