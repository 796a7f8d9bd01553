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
        ///
        /// # Examples
        ///
        /// ```
        /// # use loxley_io::UnixStream;
        /// # loxley_runtime::run(async {
        /// let (ours, theirs) = UnixStream::pair()?;
        /// theirs.write_all(b"hello").await?;
        /// drop(theirs);
        /// let mut bytes = [0; 64];
        /// assert_eq!(ours.read(&mut bytes).await?, 5, "what there is");
        /// assert_eq!(ours.read(&mut bytes).await?, 0, "the end");
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
        #[track_caller]
        #[doc(alias = "sock_recv")]
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
        ///
        /// # Examples
        ///
        /// A head of known length, however it is cut up on its way:
        ///
        /// ```
        /// # use loxley_io::UnixStream;
        /// # loxley_runtime::run(async {
        /// let (ours, theirs) = UnixStream::pair()?;
        /// theirs.write_all(&[0, 0]).await?;
        /// theirs.write_all(&[1, 2]).await?;
        /// let mut head = [0; 4];
        /// ours.read_exact(&mut head).await?;
        /// assert_eq!(u32::from_be_bytes(head), 258);
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
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
        ///
        /// # Examples
        ///
        /// No buffer is held while nothing comes:
        ///
        /// ```
        /// # use loxley_io::UnixStream;
        /// # loxley_runtime::run(async {
        /// let (ours, theirs) = UnixStream::pair()?;
        /// theirs.write_all(b"x").await?;
        /// let n = loop {
        ///     ours.readable().await?;
        ///     match ours.try_read(&mut [0; 64]) {
        ///         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {} // A wrong guess.
        ///         done => break done?,
        ///     }
        /// };
        /// assert_eq!(n, 1);
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
        pub async fn readable(&self) -> ::std::io::Result<()> {
            crate::bytes::ready(self, ::loxley_runtime::lowlevel::Direction::Read).await
        }

        /// Reads without waiting.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is nothing; else as [`read`](Self::read).
        ///
        /// # Examples
        ///
        /// ```
        /// # use loxley_io::UnixStream;
        /// # loxley_runtime::run(async {
        /// let (ours, _theirs) = UnixStream::pair()?;
        /// let nothing = ours.try_read(&mut [0; 8]).unwrap_err();
        /// assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
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
        ///
        /// # Examples
        ///
        /// What protocol it is shows in the first byte:
        ///
        /// ```
        /// # use loxley_io::UnixStream;
        /// # loxley_runtime::run(async {
        /// let (ours, theirs) = UnixStream::pair()?;
        /// theirs.write_all(b"\x16...").await?;
        /// let mut first = [0];
        /// ours.peek(&mut first).await?;
        /// assert_eq!(first[0], 22, "a TLS handshake, to be read by somebody else");
        /// assert_eq!(ours.read(&mut [0; 8]).await?, 4, "all of it");
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
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
        ///
        /// # Examples
        ///
        /// ```
        /// # use loxley_io::UnixStream;
        /// # loxley_runtime::run(async {
        /// let (ours, _theirs) = UnixStream::pair()?;
        /// let much = vec![0; 16 << 20];
        /// let taken = ours.write(&much).await?; // Nobody reads: the system has room for some of it.
        /// assert!(0 < taken && taken < much.len());
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
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
        ///
        /// # Examples
        ///
        /// A head and a body, without copying them together:
        ///
        /// ```
        /// # use loxley_io::UnixStream;
        /// # use std::io::IoSlice;
        /// # loxley_runtime::run(async {
        /// let (ours, theirs) = UnixStream::pair()?;
        /// let sent = ours.write_vectored(&[IoSlice::new(b"head "), IoSlice::new(b"body")]).await?;
        /// let mut text = [0; 9];
        /// theirs.read_exact(&mut text[..sent]).await?;
        /// assert_eq!(&text, b"head body");
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
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
        ///
        /// # Examples
        ///
        /// ```
        /// # use loxley_io::UnixStream;
        /// # loxley_runtime::run(async {
        /// let (ours, theirs) = UnixStream::pair()?;
        /// let reader = loxley_runtime::create_task(async move {
        ///     let mut all = vec![0; 1 << 20];
        ///     theirs.read_exact(&mut all).await
        /// });
        /// ours.write_all(&[0; 1 << 20]).await?; // As the reader makes room.
        /// reader.await??;
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
        #[doc(alias = "sock_sendall")]
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
        ///
        /// # Examples
        ///
        /// ```
        /// # use loxley_io::UnixStream;
        /// # loxley_runtime::run(async {
        /// let (ours, theirs) = UnixStream::pair()?;
        /// while ours.try_write(&[0; 4096]).is_ok() {} // Until there is no room.
        /// theirs.read_exact(&mut [0; 4096]).await?;
        /// # let reader = loxley_runtime::create_task(async move {
        /// #     while theirs.read(&mut [0; 65536]).await? > 0 {}
        /// #     std::io::Result::Ok(())
        /// # });
        /// ours.writable().await?;
        /// # drop(ours);
        /// # reader.await??;
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
        pub async fn writable(&self) -> ::std::io::Result<()> {
            crate::bytes::ready(self, ::loxley_runtime::lowlevel::Direction::Write).await
        }

        /// Writes without waiting.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if the system takes nothing now; else as
        /// [`write`](Self::write).
        ///
        /// # Examples
        ///
        /// ```
        /// # use loxley_io::UnixStream;
        /// # loxley_runtime::run(async {
        /// let (ours, _theirs) = UnixStream::pair()?;
        /// let mut queued = 0;
        /// let full = loop {
        ///     match ours.try_write(&[0; 4096]) {
        ///         Ok(n) => queued += n,
        ///         Err(error) => break error,
        ///     }
        /// };
        /// assert!(queued > 0 && full.kind() == std::io::ErrorKind::WouldBlock);
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
        pub fn try_write(&self, buf: &[u8]) -> ::std::io::Result<usize> {
            crate::bytes::try_write(self, buf)
        }

        /// [`try_write`](Self::try_write) from several slices in one system call.
        ///
        /// # Errors
        ///
        /// As [`try_write`](Self::try_write).
        ///
        /// # Examples
        ///
        /// ```
        /// # use loxley_io::UnixStream;
        /// # use std::io::IoSlice;
        /// # loxley_runtime::run(async {
        /// let (ours, _theirs) = UnixStream::pair()?;
        /// assert_eq!(ours.try_write_vectored(&[IoSlice::new(b"one"), IoSlice::new(b"two")])?, 6);
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
        pub fn try_write_vectored(
            &self,
            bufs: &[::std::io::IoSlice<'_>],
        ) -> ::std::io::Result<usize> {
            crate::bytes::try_write_vectored(self, bufs)
        }
    };
}

pub(crate) use {byte_peeking, byte_reading, byte_writing};
