//! Guides: how to come here from elsewhere, and how to do what one name alone does not explain.
//!
//! | guide | answers |
//! |---|---|
//! | [`from_asyncio`] | where is the name that I know, and what is different? |
//! | [`from_tokio`] | the same for those who come from there |
//! | [`cancellation`] | how does a task end early, and who cleans up? |
//! | [`structured_concurrency`] | how do several tasks become one thing that succeeds, fails and ends? |
//! | [`blocking`] | what about code that blocks, computes, or runs on threads of its own? |
//! | [`testing`] | how do tests stay fast and sure: a clock that jumps, leaks, hangs |
//! | [`tuning`] | workers, containers, pools, limits, signals of a deployment |
//! | [`features`] | which features to choose, and what each costs |
//! | [`scheduler`] | what happens between `create_task` and the first poll |
//!
//! This module exists in the documentation alone.

#[doc = include_str!("from_asyncio.md")]
pub mod from_asyncio {}

#[doc = include_str!("from_tokio.md")]
pub mod from_tokio {}

#[doc = include_str!("cancellation.md")]
pub mod cancellation {}

#[doc = include_str!("structured_concurrency.md")]
pub mod structured_concurrency {}

#[doc = include_str!("blocking.md")]
pub mod blocking {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("tuning.md")]
pub mod tuning {}

#[doc = include_str!("features.md")]
pub mod features {}

#[doc = include_str!("scheduler.md")]
pub mod scheduler {}
