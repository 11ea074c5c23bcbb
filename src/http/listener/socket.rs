//! A socket with time limits for clients that stall: in the head of a request, before the
//! next request, or in reading an answer.
//!
//! hyper has one limit for reading a head and for idling between requests. These are two
//! things: a load balancer keeps its connections for a minute, and no client needs a minute
//! for a head. For writing hyper has no limit.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::{activity::Activity, crowd::Admission};

/// How long a client may take to send the head of a request: from its first byte on, or, on
/// a new connection, from the start.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a client may read nothing of what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// After the last answer the socket reads on and drops the bytes, for this time and up to
/// this number, so that the answer is not lost: a system that gets bytes for a closed
/// socket resets the connection (RFC 9112, section 9.6).
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 4 * 1024 * 1024;
/// How many bytes are dropped at a time.
const LINGER_BUFFER: usize = 8 * 1024;

/// A connection's socket.
pub struct Socket {
    stream: TcpStream,
    /// Its place among the open connections, also once it speaks another protocol.
    _admission: Admission,
    activity: Arc<Activity>,
    /// How long a connection may be idle between requests.
    keep_alive: Duration,
    /// How many requests had begun at the last look.
    seen: usize,
    /// When the head that is being read began.
    head: Option<Instant>,
    /// Whether a byte of that head has arrived.
    is_within_head: bool,
    /// How many line ends there are at the end of all that has arrived: two, if the last
    /// line is empty.
    line_ends: usize,
    /// Since when nothing has arrived between two requests.
    resting: Option<Instant>,
    /// Since when nothing could be written.
    stalled: Option<Instant>,
    /// Until when, and up to how many bytes, input is dropped before the socket is closed.
    lingering: Option<(Instant, usize)>,
    read_timer: Timer,
    write_timer: Timer,
}

impl Socket {
    /// A socket that was just accepted.
    pub fn new(
        stream: TcpStream,
        activity: Arc<Activity>,
        keep_alive: Duration,
        admission: Admission,
    ) -> Self {
        Self {
            stream,
            _admission: admission,
            activity,
            keep_alive,
            seen: 0,
            head: Some(Instant::now()),
            is_within_head: false,
            line_ends: 0,
            resting: None,
            stalled: None,
            lingering: None,
            read_timer: Timer::default(),
            write_timer: Timer::default(),
        }
    }

    /// Notes the requests that have begun since the last look: their heads have been read.
    fn look(&mut self) {
        let begun = self.activity.begun();
        if begun != self.seen {
            self.seen = begun;
            self.head = None;
            self.is_within_head = false;
            self.resting = None;
        }
    }

    /// Notes which bytes have arrived.
    fn received(&mut self, bytes: &[u8]) {
        let is_end = |byte: &&u8| matches!(**byte, b'\r' | b'\n');
        let ends = bytes.iter().rev().take_while(is_end).count();
        let is_all = ends == bytes.len();
        let lines = bytes[bytes.len() - ends..].iter();
        let lines: usize = lines.map(|byte| usize::from(*byte == b'\n')).sum();
        self.line_ends = if is_all {
            self.line_ends.saturating_add(lines)
        } else {
            lines
        };
        if self.activity.is_busy() || self.activity.is_upgraded() {
            self.resting = None;
        } else if self.is_within_head || !is_all {
            // An empty line before a head is not part of it (RFC 9112, section 2.2).
            self.resting = None;
            self.head.get_or_insert_with(Instant::now);
            self.is_within_head = true;
        }
    }

    /// Whether a part of another head has arrived after the last request. A request ends
    /// with an empty line; if its body has a declared length, this cannot tell.
    fn has_begun_another(&self) -> bool {
        self.line_ends < 2 && !self.activity.is_sized()
    }

    /// Whether the limits for reading are suspended. If an answer waits to be read, the
    /// limit for writing holds instead.
    fn is_excused(&self) -> bool {
        self.activity.is_busy() || self.activity.is_upgraded() || self.stalled.is_some()
    }

    /// Checks the time limits while nothing arrives. It is an error if a client stalls in a
    /// head; if it sends no further request, the connection ends.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_excused() {
            self.activity.rest(context.waker());
            // The request may have ended before the waker was registered.
            if self.is_excused() {
                return Poll::Pending;
            }
        }
        if self.head.is_none() && self.resting.is_none() && self.has_begun_another() {
            self.head = Some(Instant::now());
            self.is_within_head = true;
        }
        if let Some(began) = self.head {
            ready!(self.read_timer.poll(began + HEAD_TIMEOUT, context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let since = *self.resting.get_or_insert_with(Instant::now);
        ready!(self.read_timer.poll(since + self.keep_alive, context));
        Poll::Ready(Ok(()))
    }

    /// Checks the time limit while nothing can be written.
    fn watch_write<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.stalled.take().is_some() {
                self.activity.set_stalled(false);
                self.activity.wake();
            }
            return written;
        }
        if self.stalled.is_none() {
            self.activity.set_stalled(true);
        }
        let since = *self.stalled.get_or_insert_with(Instant::now);
        ready!(self.write_timer.poll(since + WRITE_TIMEOUT, context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads and drops what the client still sends.
    fn poll_linger(
        &mut self,
        (until, mut left): (Instant, usize),
        context: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            let mut space = [0; LINGER_BUFFER];
            let mut buffer = ReadBuf::new(&mut space);
            let read = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
            let length = buffer.filled().len();
            match read {
                Poll::Ready(Ok(())) if (1..left).contains(&length) => left -= length,
                // The client has closed its side, is gone, or sends too much.
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    self.lingering = Some((until, left));
                    return self.read_timer.poll(until, context);
                }
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        self.look();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                let bytes = &buffer.filled()[before..];
                if !bytes.is_empty() {
                    self.received(bytes);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_silence(context),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch_write(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.watch_write(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Closes the writing side. If the client may still be sending, its input is read for a
    /// moment longer.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let lingering = if let Some(lingering) = self.lingering {
            lingering
        } else {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.look();
            if !self.activity.has_unread() && !self.is_within_head {
                return Poll::Ready(Ok(()));
            }
            (Instant::now() + LINGER_TIMEOUT, LINGER_BYTES)
        };
        self.poll_linger(lingering, context).map(Ok)
    }
}

/// A timer that is made when it is first needed, and reset for each wait.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(context)
    }
}
