//! lapin on a stream of ours. `Connection::connector` takes any stream: it gets its own, plain or TLS, with [`Frames`]
//! over the decrypted bytes. All else (tokio, TLS, certificates, EXTERNAL) is lapin's own way.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::stream::Stream as Items;
use lapin::tcp::{AMQPUriTcpExt, AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};

use super::frames::Frames;
use super::marks::Marks;
use super::outgoing::{Outgoing, Run};

/// The largest frame where the URL does not say: RabbitMQ's own default. lapin keeps 32 of them twice, and a broker
/// without a bound (`frame_max = 0`) would have it ask for 256 GiB.
const FRAME_BYTES: u32 = 131_072;
const FRAME_BYTES_MAX: u32 = 1_048_576;

/// Opens a connection as lapin does, with the filter between; the marks are those of its deliveries. `blank`: their
/// properties are left out.
pub(in crate::bus::amqp) async fn connect(
    mut uri: AMQPUri,
    tls: OwnedTLSConfig,
    options: ConnectionProperties,
    marks: Arc<Marks>,
    blank: bool,
) -> lapin::Result<Connection> {
    let frame_max = uri.query.frame_max.filter(|bytes| *bytes > 0).unwrap_or(FRAME_BYTES).min(FRAME_BYTES_MAX);
    uri.query.frame_max = Some(frame_max);
    let tokio = Tokio::current();
    let runtime = Runtime::new(RuntimeParts::new(tokio.clone(), Sockets(tokio.clone())));
    let sockets = Runtime::new(tokio);
    let open = async move |uri: AMQPUri, _: Runtime<RuntimeParts<Tokio, Sockets>>| {
        let inner = uri.connect_with_config_async(tls.as_ref(), &sockets).await?;
        let frames = Frames::new(marks.clone()).with_frame_max(frame_max as usize).blanking(blank);
        Ok(AsyncTcpStream::Plain(Stream { inner, frames, outgoing: Outgoing::default() }))
    };
    Connection::connector(uri, runtime, open, options).await
}

/// A stream whose incoming frames are mended, and whose outgoing frames reach open channels only.
#[derive(Debug)]
struct Stream<S> {
    inner: S,
    frames: Frames,
    outgoing: Outgoing,
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { inner, frames, .. } = &mut *self;
        if out.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // lapin takes a 0 for the end: a header that waits for its rest must not look like one, so this reads on until
        // something can go out or the socket has nothing
        loop {
            if frames.is_ready() {
                return Poll::Ready(Ok(frames.hand_out(out)));
            }
            let around = frames.passing().min(out.len());
            if around >= out.len() {
                // a large body goes straight into lapin's buffer
                let n = ready!(Pin::new(&mut *inner).poll_read(cx, &mut out[..around]))?;
                frames.passed(n);
                return Poll::Ready(Ok(n));
            }
            let n = ready!(Pin::new(&mut *inner).poll_read(cx, frames.room()))?;
            if n == 0 {
                return Poll::Ready(Ok(0));
            }
            frames.scan(n)?;
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { inner, outgoing, .. } = &mut *self;
        let taken = match outgoing.run(parts) {
            Run::Drop(len) => len,
            Run::Pass(len) if parts.len() > 1 && len == parts.iter().map(|part| part.len()).sum::<usize>() => {
                ready!(Pin::new(inner).poll_write_vectored(cx, parts))?
            }
            Run::Pass(len) => {
                let part = parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
                ready!(Pin::new(inner).poll_write(cx, &part[..len.min(part.len())]))?
            }
        };
        outgoing.advance(parts, taken);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// tokio's reactor, whose streams have another type.
#[derive(Debug, Clone)]
struct Sockets(Tokio);

impl Reactor for Sockets {
    type TcpStream = Stream<AsyncTcpStream<<Tokio as Reactor>::TcpStream>>;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.0.register(socket)
    }

    fn sleep(&self, within: Duration) -> Self::Sleep {
        self.0.sleep(within)
    }

    fn interval(&self, every: Duration) -> impl Items<Item = Instant> + Send + 'static {
        self.0.interval(every)
    }

    /// Not called: `connect` opens the sockets. Under TLS a filter here would see cipher text.
    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let opened = self.0.tcp_connect_addr(address);
        async move {
            let inner = AsyncTcpStream::Plain(opened.await?);
            Ok(Stream { inner, frames: Frames::new(Arc::default()), outgoing: Outgoing::default() })
        }
    }
}
