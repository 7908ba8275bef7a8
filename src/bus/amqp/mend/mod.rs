//! Between the (decrypted) bytes of the broker and lapin: content that lapin's parser cannot take is mended in place,
//! so that it ends neither the process nor the connection (decision 20).
//!
//! ```text
//! socket ─▶ TLS ─▶ Stream ─▶ lapin
//!                    │ Frames   holds back method and header frames until they are whole, counts bodies through
//!                    │ Walker   walks their texts and tables, changes unreadable parts, keeps lengths
//!                    ▼
//!                  Marks        (channel, delivery tag) → the changes ─▶ `Delivery::mended`
//!                               and the messages on their way when a connection ended ─▶ `suspects`
//! ```
//!
//! On the way out one kind of frame is left out: what lapin still writes to a channel that the broker closed
//! (`outgoing`).
//!
//! [`Frames`] and the walk are pure: tests and a fuzz target run them by pieces of any size ([`Frames::run`]), with the
//! library's own parser as the judge.

mod frames;
mod marks;
mod outgoing;
mod stream;
#[cfg(test)]
mod tests;
mod walk;

pub use frames::Frames;
pub use marks::{Arrival, Marks, Tally};
pub(super) use stream::connect;
