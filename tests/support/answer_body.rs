//! A response body that can be slow or end too early.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// Bytes to be answered: at once, a byte at a time, or only up to a place.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    rest: Bytes,
    /// Bytes that are announced and never sent.
    withheld: u64,
    /// What is not withheld has had its chance to leave before the cut.
    flushed: bool,
    pause: Option<Duration>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl AnswerBody {
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> AnswerBody {
        AnswerBody { rest: bytes.into(), withheld: 0, flushed: false, pause: None, sleep: None }
    }

    pub(crate) fn trickled(bytes: impl Into<Bytes>, pause: Duration) -> AnswerBody {
        AnswerBody { pause: Some(pause), ..AnswerBody::whole(bytes) }
    }

    /// All but the last byte, then the connection is cut.
    pub(crate) fn cut(bytes: impl Into<Bytes>) -> AnswerBody {
        let bytes = bytes.into();
        let kept = bytes.len().saturating_sub(1);
        AnswerBody::cut_at(bytes, kept)
    }

    /// The first `kept` bytes of an answer that is announced whole (or one byte longer, to be cut at all), then the
    /// connection is cut.
    pub(crate) fn cut_at(bytes: impl Into<Bytes>, kept: usize) -> AnswerBody {
        let mut body = AnswerBody::whole(bytes);
        body.withheld = (body.rest.len().saturating_sub(kept) as u64).max(1);
        body.rest.truncate(kept);
        body
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.rest.is_empty() && self.withheld > 0 && !self.flushed {
            // The connection writes out what it has when there is nothing more for the moment.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.rest.is_empty() {
            let cut = || Some(Err(io::Error::other("cut")));
            return Poll::Ready(if self.withheld > 0 { cut() } else { None });
        }
        let Some(pause) = self.pause else {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest)))));
        };
        let mut sleep = self.sleep.take().unwrap_or_else(|| Box::pin(tokio::time::sleep(pause)));
        if sleep.as_mut().poll(context).is_pending() {
            self.sleep = Some(sleep);
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(1)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.withheld == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64 + self.withheld)
    }
}
