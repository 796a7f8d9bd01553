//! Which runtime this thread is in, and as what.
