//! The methods that every type of bytes has, written once: what the user reads in the documentation of each.
//!
//! Used inside the `impl` blocks of `TcpStream`, `UnixStream` and the ends of pipes, all of them [`Carrier`]s; the work is
//! done in `bytes.rs`.
//!
//! [`Carrier`]: crate::bytes::Carrier

/// `read`, `read_exact`, `readable`, `try_read`.
macro_rules! byte_reading {
    () => {
        /// Reads what there is, at most as much as fits: 0 is the end of the peer's half, or says that `buf` is empty.
        ///
        /// # Errors
        ///
        /// If the connection is broken, or the runtime has shut down.
        ///
        /// # Cancel safety
        ///
        /// Bytes are either returned or still unread.
        #[track_caller]
        pub fn read<'a>(
            &'a self,
            buf: &'a mut [u8],
        ) -> impl ::std::future::Future<Output = ::std::io::Result<usize>> {
            crate::bytes::read(self, buf)
        }

        /// Reads until `buf` is full.
        ///
        /// # Errors
        ///
        /// As [`read`](Self::read); [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) if the peer ends first.
        ///
        /// # Cancel safety
        ///
        /// None: what was read already is in `buf` and nobody knows how much.
        pub async fn read_exact(&self, buf: &mut [u8]) -> ::std::io::Result<()> {
            crate::bytes::read_exact(self, buf).await
        }

        /// Waits until a read is worth trying: there are bytes, or the end, or an error. A guess that
        /// [`try_read`](Self::try_read) disproves is forgotten, so a loop over both does not spin.
        ///
        /// # Errors
        ///
        /// If the runtime has shut down.
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost.
        pub async fn readable(&self) -> ::std::io::Result<()> {
            crate::bytes::ready(self, ::loxley_runtime::lowlevel::Direction::Read).await
        }

        /// Reads without waiting.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is nothing; else as [`read`](Self::read).
        pub fn try_read(&self, buf: &mut [u8]) -> ::std::io::Result<usize> {
            crate::bytes::try_read(self, buf)
        }
    };
}

/// `peek`, for sockets.
macro_rules! byte_peeking {
    () => {
        /// Reads what there is and leaves it unread.
        ///
        /// # Errors
        ///
        /// As [`read`](Self::read).
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost.
        #[track_caller]
        pub fn peek<'a>(
            &'a self,
            buf: &'a mut [u8],
        ) -> impl ::std::future::Future<Output = ::std::io::Result<usize>> {
            crate::bytes::peek(self, buf)
        }
    };
}

/// `write`, `write_vectored`, `write_all`, `writable`, `try_write`, `try_write_vectored`.
macro_rules! byte_writing {
    () => {
        /// Writes as much as the system takes, and says how much that was.
        ///
        /// # Errors
        ///
        /// If nobody can read it any more (there is no SIGPIPE from a socket), or the runtime has shut down.
        ///
        /// # Cancel safety
        ///
        /// Dropped before it is ready, it has written nothing.
        #[track_caller]
        pub fn write<'a>(
            &'a self,
            buf: &'a [u8],
        ) -> impl ::std::future::Future<Output = ::std::io::Result<usize>> {
            crate::bytes::write(self, buf)
        }

        /// [`write`](Self::write) from several slices in one system call.
        ///
        /// # Errors
        ///
        /// As [`write`](Self::write).
        ///
        /// # Cancel safety
        ///
        /// As [`write`](Self::write).
        #[track_caller]
        pub fn write_vectored<'a>(
            &'a self,
            bufs: &'a [::std::io::IoSlice<'a>],
        ) -> impl ::std::future::Future<Output = ::std::io::Result<usize>> {
            crate::bytes::write_vectored(self, bufs)
        }

        /// Writes all of `buf`.
        ///
        /// # Errors
        ///
        /// As [`write`](Self::write).
        ///
        /// # Cancel safety
        ///
        /// None: some of `buf` may have been written and nobody knows how much.
        pub async fn write_all(&self, buf: &[u8]) -> ::std::io::Result<()> {
            crate::bytes::write_all(self, buf).await
        }

        /// Waits until a write is worth trying.
        ///
        /// # Errors
        ///
        /// If the runtime has shut down.
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost.
        pub async fn writable(&self) -> ::std::io::Result<()> {
            crate::bytes::ready(self, ::loxley_runtime::lowlevel::Direction::Write).await
        }

        /// Writes without waiting.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if the system takes nothing now; else as
        /// [`write`](Self::write).
        pub fn try_write(&self, buf: &[u8]) -> ::std::io::Result<usize> {
            crate::bytes::try_write(self, buf)
        }

        /// [`try_write`](Self::try_write) from several slices in one system call.
        ///
        /// # Errors
        ///
        /// As [`try_write`](Self::try_write).
        pub fn try_write_vectored(
            &self,
            bufs: &[::std::io::IoSlice<'_>],
        ) -> ::std::io::Result<usize> {
            crate::bytes::try_write_vectored(self, bufs)
        }
    };
}

pub(crate) use {byte_peeking, byte_reading, byte_writing};
