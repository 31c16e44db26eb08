//! Bodies: of responses, and how those of requests are read.

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

/// An answer.
pub type Response = http::Response<Body>;

/// The body of a response.
pub enum Body {
    /// All of it, with its length known.
    Full(Bytes),
    /// Produced while it is sent.
    Stream(Pin<Box<dyn HttpBody<Data = Bytes, Error = BrokenBody> + Send>>),
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::Full(Bytes::new())
    }

    /// A body written piece by piece through its sender, which waits while `pieces_max` pieces
    /// have not yet been sent.
    ///
    /// # Panics
    /// If `pieces_max` is zero.
    #[must_use]
    pub fn channel(pieces_max: usize) -> (BodySender, Self) {
        let (sender, receiver) = mpsc::channel(pieces_max);
        (BodySender { sender }, Self::Stream(Box::pin(ChannelBody { receiver, is_ended: false })))
    }

    /// Length in bytes, if it is known.
    pub(crate) fn bytes_known(&self) -> Option<u64> {
        self.size_hint().exact()
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Full(bytes.into())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Never the bytes: they may be secret.
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream(..)"),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        match self.get_mut() {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(core::mem::take(bytes))))),
            Self::Stream(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// Writes a streaming body. Dropped without [`finish`](Self::finish), it breaks the response off,
/// so that the client does not take the part it has for the whole.
#[derive(Debug)]
pub struct BodySender {
    sender: mpsc::Sender<Piece>,
}

impl BodySender {
    /// Appends `bytes`; waits while too many pieces are unsent.
    ///
    /// # Errors
    /// [`ClientGone`] if nobody reads any more.
    pub async fn send(&self, bytes: Bytes) -> Result<(), ClientGone> {
        self.sender.send(Piece::Data(bytes)).await.map_err(|_| ClientGone)
    }

    /// Ends the body: the client knows that it has all of it.
    ///
    /// # Errors
    /// [`ClientGone`] if nobody reads any more.
    pub async fn finish(self) -> Result<(), ClientGone> {
        self.sender.send(Piece::End).await.map_err(|_| ClientGone)
    }
}

/// Nobody reads this body any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientGone;

impl fmt::Display for ClientGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client reads no more of the response")
    }
}

impl core::error::Error for ClientGone {}

/// A streaming body ended before all of it was produced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenBody;

impl fmt::Display for BrokenBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body broke off")
    }
}

impl core::error::Error for BrokenBody {}

#[derive(Debug)]
enum Piece {
    Data(Bytes),
    End,
}

struct ChannelBody {
    receiver: mpsc::Receiver<Piece>,
    is_ended: bool,
}

impl HttpBody for ChannelBody {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        let piece = ready!(self.receiver.poll_recv(context));
        self.is_ended = !matches!(piece, Some(Piece::Data(_)));
        Poll::Ready(match piece {
            Some(Piece::Data(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End) => None,
            None => Some(Err(BrokenBody)),
        })
    }
}

/// After so much of a body, in bytes, other connections have their turn.
const TURN_BYTES_MAX: usize = 16_384;

/// Reads the body of one request.
pub(crate) struct Reader<B> {
    body: B,
    is_done: bool,
    /// Read since others had their turn.
    turn_bytes: usize,
}

/// Why a request body could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    Broken,
    /// More is held of other bodies already than may be.
    NoRoom,
    TooLarge,
}

impl<B: HttpBody<Data = Bytes> + Unpin> Reader<B> {
    pub(crate) fn new(body: B) -> Self {
        let is_done = body.is_end_stream();
        Self { body, is_done, turn_bytes: 0 }
    }

    /// Whether nothing of the body is left to read.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    /// The length that the client declared, in bytes.
    pub(crate) fn declared_bytes(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// All of the body. A body that arrives in one piece, as nearly all do, is not copied.
    /// `has_room` is asked, with all the bytes so far, before they are kept.
    pub(crate) async fn read(
        &mut self,
        bytes_max: usize,
        mut has_room: impl FnMut(usize) -> bool,
    ) -> Result<Bytes, ReadError> {
        let mut check = |bytes| {
            check_size(bytes, bytes_max)?;
            if has_room(bytes) { Ok(()) } else { Err(ReadError::NoRoom) }
        };
        let mut first = Bytes::new();
        while first.is_empty() {
            match self.piece().await? {
                Some(piece) => first = piece,
                None => return Ok(first),
            }
        }
        check(first.len())?;
        if self.is_done {
            return Ok(first);
        }
        let mut all = BytesMut::from(first);
        while let Some(piece) = self.piece().await? {
            // Before copying, so that memory stays within the limit.
            check(all.len().saturating_add(piece.len()))?;
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    /// Reads and forgets up to about `bytes_max` bytes.
    pub(crate) async fn discard(&mut self, bytes_max: usize) {
        let mut seen_bytes: usize = 0;
        while seen_bytes < bytes_max {
            match self.piece().await {
                Ok(Some(piece)) => seen_bytes = seen_bytes.saturating_add(piece.len()),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// The next bytes, or `None` at the end. Trailers are ignored.
    async fn piece(&mut self) -> Result<Option<Bytes>, ReadError> {
        while !self.is_done {
            let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await;
            self.is_done = !matches!(frame, Some(Ok(_))) || self.body.is_end_stream();
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.turn_bytes += bytes.len();
                        if self.turn_bytes >= TURN_BYTES_MAX {
                            // Others first: one client with much to send keeps none waiting for
                            // longer than so much takes.
                            self.turn_bytes = 0;
                            tokio::task::yield_now().await;
                        }
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(_)) => return Err(ReadError::Broken),
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}

fn check_size(bytes: usize, bytes_max: usize) -> Result<(), ReadError> {
    if bytes <= bytes_max { Ok(()) } else { Err(ReadError::TooLarge) }
}
