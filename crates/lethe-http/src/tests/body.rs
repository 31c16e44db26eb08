//! Reading a body: others have their turn between large pieces.

use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};

use crate::body::{ReadError, Reader};

/// A body whose pieces are all there.
struct Ready {
    pieces: usize,
    piece_bytes: usize,
}

impl HttpBody for Ready {
    type Data = Bytes;
    type Error = core::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(left) = self.pieces.checked_sub(1) else { return Poll::Ready(None) };
        self.pieces = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![7; self.piece_bytes])))))
    }
}

/// What comes of a future, and how often it gave way before.
fn driven<T>(future: impl Future<Output = T>) -> (T, usize) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for turns in 0.. {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return (done, turns);
        }
    }
    unreachable!("the body ends")
}

#[test]
fn a_large_body_gives_way_and_a_small_one_does_not() {
    for (piece_bytes, gives_way) in [(1, 0), (1_638, 0), (16_383, 5), (16_384, 10), (65_536, 10)] {
        let mut reader = Reader::new(Ready { pieces: 10, piece_bytes });
        let (read, turns) = driven(reader.read(usize::MAX, |_| true));
        assert_eq!((read.unwrap().len(), turns), (10 * piece_bytes, gives_way), "{piece_bytes}");
        let mut reader = Reader::new(Ready { pieces: 10, piece_bytes });
        let ((), turns) = driven(reader.discard(usize::MAX));
        assert_eq!(turns, gives_way, "{piece_bytes}, thrown away");
    }
}

#[test]
fn a_body_without_end_is_read_no_further_than_its_limit() {
    let mut reader = Reader::new(Ready { pieces: usize::MAX, piece_bytes: 65_536 });
    let (read, turns) = driven(reader.read(1_000_000, |_| true));
    assert_eq!((read, turns), (Err(ReadError::TooLarge), 16));
    let ((), turns) = driven(reader.discard(1_000_000));
    assert_eq!(turns, 16);
}
