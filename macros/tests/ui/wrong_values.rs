#[loxley_macros::test(worker_threads = 0)]
async fn no_threads() {}

#[loxley_macros::test(worker_threads = "four")]
async fn threads_in_words() {}

#[loxley_macros::test(flavor = "threaded")]
async fn unknown_flavor() {}

#[loxley_macros::test(debug = 1)]
async fn number_for_truth() {}

#[loxley_macros::test(debug)]
async fn no_value() {}

#[loxley_macros::test(debug =)]
async fn empty_value() {}

#[loxley_macros::test(debug = true, debug = false)]
async fn twice() {}

#[loxley_macros::test("debug")]
async fn not_a_name() {}

#[loxley_macros::test(crate = 7)]
async fn not_a_path() {}

fn main() {}
