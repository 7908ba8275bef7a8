//! placeholder
#![no_main]
