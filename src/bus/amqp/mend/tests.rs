//! The library's own parser is the judge: it reads all output of the filter. Input that it could read before, within
//! our bounds, comes out byte for byte.

use std::sync::Arc;

use amq_protocol::frame::parse_frame;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Frames, Marks};
use crate::bus::Mended;
use crate::limits;

const CHANNEL: u16 = 3;
const HEADERS: u16 = 1 << 13;

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap();
    [&[kind], &CHANNEL.to_be_bytes()[..], &size.to_be_bytes(), payload, &[0xCE]].concat()
}

fn deliver(tag: u64, key: &[u8]) -> Vec<u8> {
    let key_len = u8::try_from(key.len()).unwrap();
    frame(1, &[&[0, 60, 0, 60, 1, b'c'], &tag.to_be_bytes()[..], &[0, 0, key_len], key].concat())
}

fn header(flags: u16, properties: &[u8], body: u64) -> Vec<u8> {
    frame(2, &[&[0, 60, 0, 0], &body.to_be_bytes()[..], &flags.to_be_bytes(), properties].concat())
}

fn table(entries: &[u8]) -> Vec<u8> {
    [&u32::try_from(entries.len()).unwrap().to_be_bytes()[..], entries].concat()
}

/// Tables or arrays inside of each other, `levels` deep, in the entry `a` of a headers table.
fn nested(kind: u8, levels: usize) -> Vec<u8> {
    let (name, step) = if kind == b'F' { (&b"\x01a"[..], 7) } else { (&b""[..], 5) };
    let mut entries = if kind == b'F' { Vec::new() } else { b"\x01a".to_vec() };
    for left in (0..levels).rev() {
        entries.extend_from_slice(name);
        entries.push(kind);
        entries.extend_from_slice(&u32::try_from(left * step).unwrap().to_be_bytes());
    }
    table(&entries)
}

fn text(dice: &mut StdRng, out: &mut Vec<u8>) {
    let texts: [&[u8]; 6] = [b"", b"a", "é€".as_bytes(), b"\xff\xfe", b"a\xc3", b"\xed\xa0\x80z"];
    let choice = if dice.random_ratio(1, 4) { 6 } else { 3 };
    let text = texts[dice.random_range(0..choice)];
    out.push(u8::try_from(text.len()).unwrap());
    out.extend_from_slice(text);
}

fn value(dice: &mut StdRng, depth: usize, out: &mut Vec<u8>) {
    let kinds = b"tbBsUuIifLldTDSxVFAFAFA";
    let kind = kinds[dice.random_range(0..if depth > 80 { 17 } else { kinds.len() })];
    out.push(kind);
    let mut bytes = |n: usize, out: &mut Vec<u8>| out.extend((0..n).map(|_| dice.random::<u8>()));
    match kind {
        b't' | b'b' | b'B' => bytes(1, out),
        b's' | b'U' | b'u' => bytes(2, out),
        b'I' | b'i' | b'f' => bytes(4, out),
        b'D' => bytes(5, out),
        b'L' | b'l' | b'd' | b'T' => bytes(8, out),
        b'S' | b'x' => {
            let n = dice.random_range(0..9_u8);
            out.extend([0, 0, 0, n]);
            out.extend((0..n).map(|_| dice.random::<u8>()));
        }
        b'F' | b'A' => {
            let mut inner = Vec::new();
            for _ in 0..dice.random_range(0..4) {
                if kind == b'F' {
                    text(dice, &mut inner);
                }
                value(dice, depth + 1, &mut inner);
            }
            out.extend(table(&inner));
        }
        _ => {}
    }
}

/// How many frames the library reads, or none where it cannot read one.
fn parsed(mut bytes: &[u8]) -> Option<usize> {
    let mut frames = 0;
    while !bytes.is_empty() {
        let (rest, frame) = parse_frame(bytes).ok()?;
        // the copies and texts that lapin makes of it recurse as well
        let _ = format!("{:?}", frame.clone());
        (bytes, frames) = (rest, frames + 1);
    }
    Some(frames)
}

fn properties(dice: &mut StdRng, flags: u16) -> Vec<u8> {
    let mut out = Vec::new();
    for (bit, kind) in (2..16).rev().zip(*b"ssFbbssssLssss") {
        if flags & (1 << bit) == 0 {
            continue;
        }
        match kind {
            b's' => text(dice, &mut out),
            b'b' => out.push(1),
            b'L' => out.extend([0; 8]),
            _ => {
                let mut entries = Vec::new();
                for _ in 0..dice.random_range(0..5) {
                    text(dice, &mut entries);
                    value(dice, 0, &mut entries);
                }
                out.extend(table(&entries));
            }
        }
    }
    out
}

fn damage(dice: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..dice.random_range(1..4) {
        let at = dice.random_range(0..bytes.len());
        bytes[at] = dice.random();
    }
    if dice.random_ratio(1, 4) {
        bytes.truncate(dice.random_range(0..bytes.len()));
    }
}

#[test]
fn what_comes_out_can_be_read_and_what_was_good_is_as_it_was() {
    let mut dice = StdRng::seed_from_u64(0x9e37_79b9);
    let (mut same, mut in_place, mut blank) = (0, 0, 0);
    for round in 1..=4_000_u64 {
        let flags = dice.random::<u16>() & !3;
        let mut sent = properties(&mut dice, flags);
        if round % 3 == 0 && !sent.is_empty() {
            damage(&mut dice, &mut sent);
        }
        let key: &[u8] = if dice.random_ratio(1, 5) { b"k\xff" } else { b"key" };
        let input = [deliver(round, key), header(flags, &sent, 5), frame(3, b"\xffbody"), frame(8, b"")].concat();
        let marks = Arc::<Marks>::default();
        let piece = dice.random_range(1..=input.len());
        let out = Frames::new(marks.clone()).run(&input, piece).expect("the connection lives");
        assert_eq!(parsed(&out), Some(4), "round {round}");
        let mark = marks.take(CHANNEL, round);
        if parsed(&input) == Some(4) && mark.is_none() {
            assert_eq!(out, input);
            same += 1;
        } else {
            let mark = mark.expect("what was changed has a mark");
            assert!(parsed(&input).is_none() || mark.has(Mended::DEEP), "changed without need: {mark:?}");
            assert_eq!(mark.has(Mended::KEY), key != b"key", "{mark:?}");
            if mark.has(Mended::BLANK) {
                blank += 1;
            } else {
                in_place += 1;
            }
            assert_eq!(mark.has(Mended::BLANK), out.len() != input.len() || sent.is_empty(), "{mark:?}");
        }
        assert!(marks.is_empty());
    }
    assert!(same > 400 && in_place > 400 && blank > 200, "{same} {in_place} {blank}");
}

#[test]
fn any_bytes_end_in_frames_that_can_be_read_or_in_an_error() {
    let methods = [
        [0, 10, 0, 10],
        [0, 10, 0, 50],
        [0, 20, 0, 11],
        [0, 20, 0, 40],
        [0, 60, 0, 60],
        [0, 60, 0, 50],
        [0, 60, 0, 71],
        [0, 50, 0, 11],
        [0, 60, 0, 30],
    ];
    let mut dice = StdRng::seed_from_u64(77);
    for _ in 0..10_000 {
        let kind = [1, 2, 3, 8][dice.random_range(0..4)];
        let mut payload: Vec<u8> = Vec::new();
        if kind == 1 {
            payload.extend(methods[dice.random_range(0..methods.len())]);
        }
        for _ in 0..dice.random_range(0..60) {
            let small = dice.random_range(0..4);
            payload.push(if dice.random_ratio(1, 3) { dice.random() } else { small });
        }
        let input = frame(kind, &payload);
        match Frames::new(Arc::default()).run(&input, dice.random_range(1..10)) {
            Ok(out) => assert!(parsed(&out).is_some(), "{input:?}"),
            Err(_) => assert!(parsed(&input).is_none(), "refused what the library reads: {input:?}"),
        }
    }
}

#[test]
fn what_is_nested_too_deep_is_bytes_and_the_rest_stays() {
    let most = limits::AMQP_DEPTH_MAX;
    for (kind, levels) in
        [(b'A', most), (b'F', most), (b'A', most + 1), (b'F', most + 1), (b'A', 200_000), (b'F', 18_000)]
    {
        let input = [deliver(9, b"k"), header(HEADERS, &nested(kind, levels), 0)].concat();
        let marks = Arc::<Marks>::default();
        let out = Frames::new(marks.clone()).run(&input, 4_096).expect("the connection lives");
        assert_eq!((out.len(), parsed(&out)), (input.len(), Some(2)), "{levels}");
        assert_eq!(marks.take(CHANNEL, 9), (levels > most).then_some(Mended::DEEP), "{levels}");
        assert_eq!(out == input, levels <= most, "{levels}");
    }
}

#[test]
fn too_many_values_and_broken_tables_are_bytes() {
    let marked = |entries: &[u8]| {
        let marks = Arc::<Marks>::default();
        let input = [deliver(1, b"k"), header(HEADERS, &table(entries), 0)].concat();
        let out = Frames::new(marks.clone()).run(&input, 999).expect("the connection lives");
        assert_eq!((out.len(), parsed(&out)), (input.len(), Some(2)));
        marks.take(CHANNEL, 1)
    };
    let voids = |n: usize| [&b"\x01aA"[..], &table(&vec![b'V'; n])].concat();
    assert_eq!(marked(&voids(limits::AMQP_VALUES_MAX - 1)), None);
    assert_eq!(marked(&voids(130_000)), Some(Mended::MANY));
    // in the outer table itself
    assert_eq!(marked(&b"\x01aV".repeat(limits::AMQP_VALUES_MAX + 1)), Some(Mended::MANY));
    assert_eq!(marked(b"\x01aZ"), Some(Mended::MALFORMED), "a type that is none");
    assert_eq!(marked(b"\x01aS\0\0\0\x09x"), Some(Mended::MALFORMED), "a length over the end");
    assert_eq!(marked(b"\x01aA\0\0\0\x01Z"), Some(Mended::MALFORMED), "inside of an array");
    assert_eq!(marked(b"\x02\xff\xfeV"), Some(Mended::TEXT), "a header's name");
    assert_eq!(marked(b"\x01aS\0\0\0\x02\xff\xfe"), None, "a long string may hold any bytes");
}

#[test]
fn bodies_pass_as_they_are_by_pieces_of_any_size() {
    let body: Vec<u8> = (0..300_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let mut input = b"AMQP\x00\x00\x09\x01".to_vec();
    for tag in 1..5 {
        input.extend(deliver(tag, b"k"));
        input.extend(header(1 << 15, b"\x03abc", 300_000));
        body.chunks(131_064).for_each(|part| input.extend(frame(3, part)));
        input.extend(frame(8, b""));
    }
    for piece in [1, 2, 3, 7, 8, 100, 4_096, 65_536, 1_000_000] {
        assert_eq!(Frames::new(Arc::default()).run(&input, piece).expect("frames"), input, "{piece}");
    }
}

#[test]
fn an_error_text_that_was_cut_in_a_character_does_not_cost_the_connection() {
    // RabbitMQ cuts its own texts at 252 bytes, wherever that is
    let text = [&b"NOT_FOUND - no queue '"[..], &"é".repeat(120).as_bytes()[..229]].concat();
    let close = [&[0, 20, 0, 40, 1, 148, u8::try_from(text.len()).unwrap()], &text[..], &[0, 50, 0, 10]].concat();
    let input = frame(1, &close);
    assert_eq!(parsed(&input), None, "the library cannot read it as it comes");
    let out = Frames::new(Arc::default()).run(&input, 10).expect("the connection lives");
    assert_eq!((parsed(&out), out.len()), (Some(1), input.len()));
}

#[test]
fn marks_go_with_their_channel() {
    let marks = Arc::<Marks>::default();
    let mut frames = Frames::new(marks.clone());
    frames.run(&[deliver(1, b"k"), header(1 << 15, b"\x01\xff", 0)].concat(), 5).expect("frames");
    assert!(!marks.is_empty());
    frames.run(&frame(1, &[0, 20, 0, 11, 0, 0, 0, 0]), 5).expect("frames");
    // the tags of the new channel begin at 1 again: an honest delivery must not be taken for the mended one
    assert_eq!((marks.is_empty(), marks.take(CHANNEL, 1)), (true, None));
}

#[test]
fn headers_over_the_agreed_frame_go_and_the_other_properties_stay() {
    let tune = |bytes: u32| frame(1, &[&[0, 10, 0, 30, 0, 9], &bytes.to_be_bytes()[..], &[0, 60]].concat());
    // content type, headers, correlation id
    let flags = 1 << 15 | HEADERS | 1 << 10;
    let held = |n: usize| {
        let entries = [&b"\x01aS"[..], &u32::try_from(n).unwrap().to_be_bytes(), &vec![b'x'; n]].concat();
        header(flags, &[&b"\x04text"[..], &table(&entries), b"\x03abc"].concat(), 2)
    };
    let around = held(0).len();
    for (ours, theirs, most) in [(131_072, 131_072, 131_072), (131_072, 8_192, 8_192), (8_192, 0, 8_192), (9, 9, 4_096)]
    {
        for (n, mended) in
            [(most - around, None), (most - around + 1, Some(Mended::LARGE)), (200_000, Some(Mended::LARGE))]
        {
            let marks = Arc::<Marks>::default();
            let mut frames = Frames::new(marks.clone()).with_frame_max(ours);
            let (before, after) = ([tune(theirs), deliver(7, b"k")].concat(), frame(3, b"ab"));
            let input = [&before[..], &held(n), &after].concat();
            let out = frames.run(&input, 5_000).expect("the connection lives");
            let bare = header(1 << 15 | 1 << 10, b"\x04text\x03abc", 2);
            let header = if mended.is_some() { bare } else { held(n) };
            assert!(out == [&before[..], &header, &after].concat(), "{ours} {theirs} {n}");
            assert_eq!((marks.take(CHANNEL, 7), marks.is_empty()), (mended, true), "{ours} {theirs} {n}");
        }
    }
}

#[test]
fn what_is_on_its_way_is_known_by_its_message_until_it_is_taken() {
    let left = |input: &[u8]| {
        let marks = Arc::<Marks>::default();
        Frames::new(marks.clone()).run(input, 7).expect("frames");
        marks.left(CHANNEL)
    };
    let counted = |n: u8| [&b"\x10x-delivery-count"[..], &[b'l', 0, 0, 0, 0, 0, 0, 0, n]].concat();
    let message = |tag, id: &[u8], table: Option<Vec<u8>>, body| {
        let flags = 1 << 10 | table.as_ref().map_or(0, |_| HEADERS);
        let properties = [&table.unwrap_or_default()[..], &[u8::try_from(id.len()).unwrap()], id].concat();
        [deliver(tag, b"key"), header(flags, &properties, body)].concat()
    };
    let first = left(&message(1, b"id", None, 5));
    assert_eq!((first.len(), first[0].body_bytes, first[0].header_bytes), (1, 5, 17));
    for again in [message(9, b"id", None, 5), message(2, b"id", Some(table(&counted(3))), 5)] {
        assert_eq!(left(&again)[0].print, first[0].print, "the same message, delivered again");
    }
    for other in [message(1, b"ie", None, 5), message(1, b"id", None, 6)] {
        assert_ne!(left(&other)[0].print, first[0].print);
    }
    let half = left(&[deliver(4, b"key"), header(0, b"", 0)[..9].to_vec()].concat());
    assert_eq!((half.len(), half[0].header_bytes), (1, 0), "it is known before its header is whole");
    let many = left(&(1..=20).flat_map(|tag| message(tag, b"id", None, tag)).collect::<Vec<_>>());
    assert_eq!(many.iter().map(|a| a.body_bytes).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>(), "in order");
}

#[test]
fn a_blanking_filter_lets_no_property_of_a_delivery_through() {
    let bad = [deliver(1, b"k"), header(HEADERS, &table(TEST_FLAW_ENTRY), 3), frame(3, b"abc")].concat();
    assert!(Frames::new(Arc::default()).run(&bad, 100).is_err(), "a flaw that ends the connection");
    let marks = Arc::<Marks>::default();
    let out = Frames::new(marks.clone()).blanking(true).run(&bad, 100).expect("the connection lives");
    assert_eq!(out, [deliver(1, b"k"), header(0, b"", 3), frame(3, b"abc")].concat());
    assert_eq!(marks.take(CHANNEL, 1), Some(Mended::DEADLY));
}

const TEST_FLAW_ENTRY: &[u8] = b"\x0bx-test-flawV";
