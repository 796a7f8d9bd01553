//! `#[loxley::main]` and `#[loxley::test]`.
//!
//! Written by hand on `proc_macro`, because the arguments are a handful of `name = literal` pairs and parsing them does not
//! pay for a parser of the whole language. The function's own tokens go through untouched, so every error in the body points
//! where it would without the macro. Users name the facade's re-exports; nothing here knows how a runtime works.
//!
//! `signature.rs` takes the function apart, `options.rs` reads the arguments, `expand.rs` writes the result.
#![forbid(unsafe_code)]

mod expand;
mod options;
mod signature;

use proc_macro::TokenStream;

/// Runs an `async fn main` on a new runtime: `fn main() { loxley::run(async { … }) }`.
///
/// The function keeps its attributes, visibility and return type; anything that `fn main` may return is fine. It takes no
/// arguments and has no generics. It may have any name.
///
/// # Options
///
/// | option | value | default |
/// |---|---|---|
/// | `flavor` | `"multi_thread"`, or `"current_thread"`: one queue, strict asyncio order | `"multi_thread"` |
/// | `worker_threads` | a number from 1; not with `"current_thread"` | `LOXLEY_WORKER_THREADS`, else one per processor |
/// | `debug` | `true` or `false`: asyncio's debug mode | `false` |
/// | `crate` | path of the crate to expand to, as a string | `"::loxley"` |
///
/// # Panics
///
/// The expanded function panics when the runtime cannot be built, for want of threads or descriptors.
///
/// # Examples
///
/// ```text
/// #[loxley::main(worker_threads = 4)]
/// async fn main() -> std::io::Result<()> {
///     loxley::sleep(std::time::Duration::from_millis(10)).await;
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::attribute(expand::Attribute::Main, arguments, item)
}

/// Runs an `async fn` as a test on a runtime of its own.
///
/// The test fails, besides for what its body says, when it takes longer than its limit on the real clock (10 s, or
/// `LOXLEY_TEST_LIMIT_MS`): then it lists the tasks that are alive, where they were created and what they wait for.
///
/// # Options
///
/// Those of [`main`](macro@main), with `flavor` defaulting to `"current_thread"`, unless `worker_threads` is given; and
/// these. One that is `true` may be given by its name alone.
///
/// | option | value | default |
/// |---|---|---|
/// | `leak_check` | `true`: fail for tasks, timers, descriptors, blocking jobs and failures that are left over, and name them | `false` |
/// | `paused` | `true`: the clock stands, and jumps to the next deadline when nothing can run | `false` |
///
/// # Examples
///
/// ```text
/// #[loxley::test(paused, leak_check)]
/// async fn an_hour_passes_at_once() {
///     loxley::sleep(std::time::Duration::from_secs(3_600)).await;
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::attribute(expand::Attribute::Test, arguments, item)
}
