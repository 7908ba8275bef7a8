//! Bodies of requests. Each body has a time limit and a maximum length, and all open bodies together have a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::web::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use crate::limits::BODY_BYTES_FREE;

use super::error::ApiError;

/// Takes bodies in. Cheap to clone; the clones share one bound.
#[derive(Debug, Clone)]
pub struct Bodies {
    one_max: usize,
    all_max: usize,
    within: Duration,
    held: Arc<AtomicUsize>,
}

/// A body. It counts as open until it is dropped.
#[derive(Debug)]
pub struct Body {
    bytes: BytesMut,
    held: Held,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The bytes of one body that count towards the bound of all.
#[derive(Debug)]
struct Held {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Bodies {
    /// `one_max`: the bytes of one body; `all_max`: the bytes of all open bodies; `within`: the time for one to arrive.
    pub fn new(one_max: usize, all_max: usize, within: Duration) -> Self {
        Self { one_max, all_max, within, held: Arc::default() }
    }

    /// Reads a whole body. `announced` is the length that the request gives, if any.
    pub async fn take(
        &self,
        pieces: impl Stream<Item = Result<Bytes, PayloadError>>,
        announced: Option<usize>,
    ) -> Result<Body, ApiError> {
        if announced.is_some_and(|bytes| bytes > self.one_max) {
            return Err(ApiError::body_too_large(self.one_max));
        }
        tokio::time::timeout(self.within, self.gather(pieces)).await.unwrap_or_else(|_| {
            let message = format!(
                "The body of the request did not arrive within {} seconds (api.body_seconds)",
                self.within.as_secs_f64()
            );
            Err(ApiError { status: 408, ..ApiError::new("RequestTimeoutException", message) })
        })
    }

    async fn gather(&self, pieces: impl Stream<Item = Result<Bytes, PayloadError>>) -> Result<Body, ApiError> {
        let mut pieces = std::pin::pin!(pieces);
        let mut body = Body { bytes: BytesMut::new(), held: Held { all: Arc::clone(&self.held), bytes: 0 } };
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| {
                ApiError::serialization(format!("The body of the request did not arrive whole: {error}"))
            })?;
            let bytes = body.bytes.len() + piece.len();
            if bytes > self.one_max {
                return Err(ApiError::body_too_large(self.one_max));
            }
            self.hold(&mut body.held, bytes.saturating_sub(BODY_BYTES_FREE))?;
            body.bytes.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// Counts bytes towards the bound of all bodies. Short bodies and the beginning of long ones are free, since the
    /// number of connections bounds them. So many long bodies cannot keep out a worker's answer.
    fn hold(&self, held: &mut Held, bytes: usize) -> Result<(), ApiError> {
        let more = bytes - held.bytes;
        if more == 0 {
            return Ok(());
        }
        if self.held.fetch_add(more, Ordering::Relaxed) + more > self.all_max {
            self.held.fetch_sub(more, Ordering::Relaxed);
            return Err(ApiError::new(
                "ThrottlingException",
                format!(
                    "The bodies of all open requests have reached the bound of {} bytes (api.bodies_bytes_max); try \
                     again later",
                    self.all_max
                ),
            ));
        }
        held.bytes = bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn pieces(sizes: &[usize]) -> impl Stream<Item = Result<Bytes, PayloadError>> + use<> {
        stream::iter(sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect::<Vec<_>>())
    }

    fn bodies(one_max: usize, all_max: usize) -> Bodies {
        Bodies::new(one_max, all_max, Duration::from_secs(30))
    }

    #[tokio::test]
    async fn a_body_comes_whole_or_is_refused_by_its_length() {
        let bodies = bodies(10, 1_000);
        assert_eq!(bodies.take(pieces(&[3, 0, 7]), None).await.unwrap().as_ref(), b"xxxxxxxxxx");
        for (sizes, announced) in [(&[5, 6][..], None), (&[][..], Some(11))] {
            let refused = bodies.take(pieces(sizes), announced).await.unwrap_err();
            assert_eq!((refused.status, refused.kind), (413, "RequestEntityTooLargeException"));
        }
        let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(PayloadError::Incomplete(None))]);
        let refused = bodies.take(broken, None).await.unwrap_err();
        assert!(refused.message.starts_with("The body of the request did not arrive whole"), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_a_time_limit_however_lively_it_is() {
        let bodies = bodies(1_000_000, 1_000_000);
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok(Bytes::from_static(b"x")), ()))
        });
        let refused = bodies.take(drops, None).await.unwrap_err();
        assert_eq!((refused.status, refused.kind), (408, "RequestTimeoutException"));
        assert!(refused.message.contains("30 seconds (api.body_seconds)"), "{refused}");
    }

    #[tokio::test]
    async fn long_bodies_have_a_bound_together_and_short_ones_pass() {
        let bodies = bodies(10 * BODY_BYTES_FREE, 3 * BODY_BYTES_FREE);
        let first = bodies.take(pieces(&[BODY_BYTES_FREE, BODY_BYTES_FREE]), None).await.unwrap();
        let second = bodies.take(pieces(&[3 * BODY_BYTES_FREE]), None).await.unwrap();
        let refused = bodies.take(pieces(&[BODY_BYTES_FREE, 1]), None).await.unwrap_err();
        assert_eq!(refused.kind, "ThrottlingException");
        assert!(bodies.take(pieces(&[BODY_BYTES_FREE]), None).await.is_ok(), "a short one");
        drop(first);
        assert!(bodies.take(pieces(&[2 * BODY_BYTES_FREE]), None).await.is_ok());
        drop(second);
        assert_eq!(bodies.held.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_body_that_was_given_up_is_not_counted() {
        let bodies = bodies(10 * BODY_BYTES_FREE, 3 * BODY_BYTES_FREE);
        let endless = pieces(&[2 * BODY_BYTES_FREE]).chain(stream::pending());
        let mut taking = Box::pin(bodies.take(endless, None));
        assert!(futures_util::poll!(&mut taking).is_pending());
        assert_eq!(bodies.held.load(Ordering::Relaxed), BODY_BYTES_FREE);
        drop(taking);
        assert_eq!(bodies.held.load(Ordering::Relaxed), 0);
    }
}
