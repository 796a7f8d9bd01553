//! What can be received from, as a `Stream` of the `futures-core` crate.
//!
//! A stream owns its queue or receiver. It allocates only when it has to wait: the wait is an ordinary `get` or `recv`, boxed
//! together with what it waits on. Dropping a stream drops that wait, with the promises the wait makes about it.

use crate::ambient::poll_budgeted;
use crate::error::{QueueShutDown, TryGetError};
use crate::{LifoQueue, PriorityQueue, Queue, broadcast, watch};
use futures_core::Stream;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

type Waiting<S, I> = Pin<Box<dyn Future<Output = (S, Option<I>)> + Send>>;

/// A stream of the items of `S`; made by `into_stream`.
///
/// # Examples
///
/// ```
/// use futures::StreamExt;
/// use loxley_sync::{Queue, wait::block_on};
///
/// let queue = Queue::new(0);
/// for item in 1..=3 {
///     queue.put_nowait(item).unwrap();
/// }
/// queue.shutdown(false);
/// let doubled = queue.into_stream().map(|item| item * 2);
/// assert_eq!(block_on(doubled.collect::<Vec<_>>()), [2, 4, 6]);
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct ItemStream<S: Source>(Stage<S>);

enum Stage<S: Source> {
    Idle(S),
    Waiting(Waiting<S, S::Item>),
    Ended,
}

/// What a stream takes its items from. Not to be implemented elsewhere.
///
/// # Examples
///
/// What has `into_stream` can be asked for by this name:
///
/// ```
/// use futures::StreamExt;
/// use loxley_sync::{Queue, stream::{ItemStream, Source}, wait::block_on};
///
/// fn first<S: Source>(mut items: ItemStream<S>) -> Option<S::Item> {
///     block_on(items.next())
/// }
/// let queue = Queue::new(0);
/// queue.put_nowait('a').unwrap();
/// assert_eq!(first(queue.into_stream()), Some('a'));
/// ```
pub trait Source: Sized + Send + Unpin + private::Sealed {
    /// What the stream yields.
    type Item: Unpin;

    /// An item at once: `Ready(None)` is the end, `Pending` that one has to wait.
    #[doc(hidden)]
    fn take(&mut self) -> Poll<Option<Self::Item>>;

    /// An item, or the end, later.
    #[doc(hidden)]
    fn wait(self) -> Waiting<Self, Self::Item>;
}

mod private {
    pub trait Sealed {}
}

impl<S: Source> Stream for ItemStream<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let stage = &mut self.get_mut().0;
        if let Stage::Idle(source) = stage {
            match poll_budgeted(cx, |_| source.take()) {
                Poll::Ready(Some(item)) => return Poll::Ready(Some(item)),
                Poll::Ready(None) => *stage = Stage::Ended,
                Poll::Pending if !crate::ambient::has_budget_remaining() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        *stage = match std::mem::replace(stage, Stage::Ended) {
            Stage::Idle(source) => Stage::Waiting(source.wait()),
            other => other,
        };
        let Stage::Waiting(waiting) = stage else {
            return Poll::Ready(None);
        };
        let Poll::Ready((source, item)) = waiting.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        *stage = if item.is_some() {
            Stage::Idle(source)
        } else {
            Stage::Ended
        };
        Poll::Ready(item)
    }
}

impl<S: Source> fmt::Debug for ItemStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Stage::Idle(_) => "ItemStream(idle)",
            Stage::Waiting(_) => "ItemStream(waiting)",
            Stage::Ended => "ItemStream(ended)",
        })
    }
}

/// A kind of queue as a source: its items, until it is shut down and empty.
macro_rules! queue_source {
    ($name:ident $(, $bound:ident)?) => {
        impl<T $(: $bound)?> private::Sealed for $name<T> {}

        impl<T: Send + Unpin + 'static $(+ $bound)?> Source for $name<T> {
            type Item = T;

            fn take(&mut self) -> Poll<Option<T>> {
                match self.get_nowait() {
                    Ok(item) => Poll::Ready(Some(item)),
                    Err(TryGetError::ShutDown) => Poll::Ready(None),
                    Err(TryGetError::Empty) => Poll::Pending,
                }
            }

            fn wait(self) -> Waiting<Self, T> {
                Box::pin(async move {
                    let item = match self.get().await {
                        Ok(item) => Some(item),
                        Err(QueueShutDown) => None,
                    };
                    (self, item)
                })
            }
        }

        impl<T: Send + Unpin + 'static $(+ $bound)?> $name<T> {
            /// The queue's items as a stream, which ends when the queue is shut down and empty. An item may be fetched
            /// by any handle or stream, each by one.
            ///
            /// # Examples
            ///
            /// ```
            /// # use futures::StreamExt;
            #[doc = concat!(" # use loxley_sync::{", stringify!($name), ", wait::block_on};")]
            #[doc = concat!(" let queue = ", stringify!($name), "::new(0);")]
            /// let mut items = queue.clone().into_stream();
            /// queue.put_nowait(5).unwrap();
            /// assert_eq!(block_on(items.next()), Some(5));
            /// queue.shutdown(false);
            /// assert_eq!(block_on(items.next()), None);
            /// ```
            pub fn into_stream(self) -> ItemStream<Self> {
                ItemStream(Stage::Idle(self))
            }
        }
    };
}

queue_source!(Queue);
queue_source!(LifoQueue);
queue_source!(PriorityQueue, Ord);

impl<T> private::Sealed for broadcast::Receiver<T> {}

impl<T: Clone + Send + Sync + Unpin + 'static> Source for broadcast::Receiver<T> {
    /// A value, or how many were lost.
    type Item = Result<T, broadcast::RecvError>;

    fn take(&mut self) -> Poll<Option<Self::Item>> {
        match self.try_recv() {
            Ok(value) => Poll::Ready(Some(Ok(value))),
            Err(broadcast::TryRecvError::Lagged(lost)) => {
                Poll::Ready(Some(Err(broadcast::RecvError::Lagged(lost))))
            }
            Err(broadcast::TryRecvError::Closed) => Poll::Ready(None),
            Err(broadcast::TryRecvError::Empty) => Poll::Pending,
        }
    }

    fn wait(mut self) -> Waiting<Self, Self::Item> {
        Box::pin(async move {
            let item = match self.recv().await {
                Err(broadcast::RecvError::Closed) => None,
                item => Some(item),
            };
            (self, item)
        })
    }
}

impl<T: Clone + Send + Sync + Unpin + 'static> broadcast::Receiver<T> {
    /// What is received as a stream, which ends when all senders are gone.
    ///
    /// # Examples
    ///
    /// What was lost is an item of the stream, too:
    ///
    /// ```
    /// # use futures::StreamExt;
    /// # use loxley_sync::{broadcast, wait::block_on};
    /// let (sender, receiver) = broadcast::channel(1);
    /// let mut news = receiver.into_stream();
    /// sender.send("old").unwrap();
    /// sender.send("new").unwrap();
    /// assert_eq!(block_on(news.next()), Some(Err(broadcast::RecvError::Lagged(1))));
    /// assert_eq!(block_on(news.next()), Some(Ok("new")));
    /// ```
    pub fn into_stream(self) -> ItemStream<Self> {
        ItemStream(Stage::Idle(self))
    }
}

impl<T> private::Sealed for watch::Receiver<T> {}

impl<T: Send + Sync + 'static> Source for watch::Receiver<T> {
    /// The value after a change.
    type Item = watch::Ref<T>;

    fn take(&mut self) -> Poll<Option<Self::Item>> {
        match self.has_changed() {
            Ok(true) => Poll::Ready(Some(self.borrow_and_update())),
            Ok(false) => Poll::Pending,
            Err(watch::RecvError) => Poll::Ready(None),
        }
    }

    fn wait(mut self) -> Waiting<Self, Self::Item> {
        Box::pin(async move {
            let changed = self.changed().await;
            let item = changed.ok().map(|()| self.borrow_and_update());
            (self, item)
        })
    }
}

impl<T: Send + Sync + 'static> watch::Receiver<T> {
    /// The value after each change that is seen, as a stream, which ends when all senders are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::StreamExt;
    /// # use loxley_sync::{wait::block_on, watch};
    /// let (sender, receiver) = watch::channel(0);
    /// let mut changes = receiver.into_stream();
    /// sender.send(1).unwrap();
    /// sender.send(2).unwrap();
    /// assert_eq!(block_on(changes.next()).as_deref(), Some(&2));
    /// drop(sender);
    /// assert!(block_on(changes.next()).is_none());
    /// ```
    pub fn into_stream(self) -> ItemStream<Self> {
        ItemStream(Stage::Idle(self))
    }
}
