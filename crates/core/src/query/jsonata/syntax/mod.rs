//! From text to tree: tokens, the grammar, signatures of functions, regular expressions.

mod ancestry;
mod infix;
mod lexer;
mod parser;
pub(super) mod regex;
pub(super) mod signature;
pub(super) mod tree;

pub(super) use parser::parse;

use super::error::Fault;

/// A text that is no expression: why, and at which byte.
#[derive(Debug)]
pub(super) struct Refusal {
    pub message: String,
    pub at: usize,
}

impl Refusal {
    fn new(fault: &Fault, at: usize) -> Self {
        Self { message: fault.sentence(), at }
    }

    /// A refusal in our own words.
    fn ours(message: String, at: usize) -> Self {
        Self { message, at }
    }
}
