//! HTTP over real sockets.
