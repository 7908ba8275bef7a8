//! Fuzzer of names of buckets and keys, over a folder and over a service: the server's own files, compiled here without
//! the rest of it.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the rest of those files is for the server")]

mod drive;
#[path = "../../tests/hostile/object.rs"]
mod judged;
#[path = "../../src/objects/mod.rs"]
mod objects;

use drive::{Drive, Target};
use reveille_core::{clock, csv, ids, limits};

const TARGETS: &[Target] = &[("object", judged::object)];

drive!(TARGETS);
