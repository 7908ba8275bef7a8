//! The drawing of a layout as SVG text.
//!
//! Each state is a group with the class of its kind and `data-state`, its JSON pointer; each edge has `data-from` and
//! `data-to`. A page marks them by adding one of the classes `done`, `running`, `waiting`, `retrying`, `failed` to a
//! state and `taken` to an edge; the picture itself stays as it is while an execution runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::diagram::{EdgeKind, NodeKind};
use super::layout::{DETAIL_SIZE, Laid, LaidBlock, LaidLine, LaidNode, NAME_SIZE, PADDING, Shape, TITLE_HEIGHT};
use super::routes::Point;
use super::text;

/// The style of a picture, light and dark; a page includes it in its own style sheet.
pub const STYLE: &str = include_str!("graph.css");

const MARGIN: f64 = 16.0;
/// Most that a curve bends before it turns to the other side.
const CURVE_MAX: f64 = 40.0;
/// Width of the part of a Map's bar that tells of one item among thousands.
const PART_MIN: f64 = 3.0;

/// Optional parts of a drawing.
#[derive(Debug, Default)]
pub struct Look {
    /// The style inside, so that the picture stands alone as a file.
    pub style: bool,
    /// Each state is a link to this text followed by its pointer, in the form of a query's value.
    pub link: Option<String>,
    /// The states of an execution, by their pointers.
    pub marks: BTreeMap<String, Mark>,
    /// Transitions that were taken: from, to (`None`: start or end of the block), and whether by a Catch.
    pub taken: BTreeSet<Taken>,
    /// The pointer of the state that a page shows beside the picture.
    pub chosen: Option<String>,
}

pub type Taken = (Option<String>, Option<String>, bool);

/// How far a state has come: its class, which is also the name of its icon, and the same in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub class: &'static str,
    pub words: &'static str,
    /// Of a Map.
    pub items: Option<Items>,
}

/// The items of a Map in words, and how many are of each class.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Items {
    pub words: String,
    pub parts: Vec<(&'static str, u64)>,
}

/// The whole picture as one `<svg>` element.
pub fn draw(laid: &Laid<'_>, look: &Look) -> String {
    let mut pen = Pen { out: String::with_capacity(1024 + 700 * laid.states), look };
    let (width, height) = laid.size();
    let (width, height) = (width + 2.0 * MARGIN, height + 2.0 * MARGIN);
    let states = format!("State machine with {} {}", laid.states, if laid.states == 1 { "state" } else { "states" });
    pen.put(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="graph" viewBox="0 0 {width:.0} {height:.0}" "#
    ));
    pen.put(format_args!(r#"width="{width:.0}" height="{height:.0}" role="group" aria-label="{states}">"#));
    if look.style {
        pen.put(format_args!("<style>{STYLE}</style>"));
    }
    let marks = if look.marks.is_empty() { "" } else { MARKS };
    pen.put(format_args!("<defs>{DEFINITIONS}{marks}</defs>"));
    if look.style {
        pen.put(format_args!(r#"<rect width="100%" height="100%" fill="var(--bg)"/>"#));
    }
    pen.block(&laid.top, MARGIN, MARGIN);
    pen.put(format_args!("</svg>\n"));
    pen.out
}

/// An arrow head of one colour. (The colour of the line itself, `context-stroke`, is not known to every browser.)
macro_rules! arrow {
    ($id:literal) => {
        concat!(
            r#"<marker id="graph-"#,
            $id,
            r#"" viewBox="0 0 8 8" refX="7" refY="4" markerUnits="userSpaceOnUse" markerWidth="9" markerHeight="9" "#,
            r#"orient="auto-start-reverse"><path d="M0 0L8 4L0 8z"/></marker>"#
        )
    };
}

/// The arrow heads, and one icon of 16 by 16 for each kind of state.
const DEFINITIONS: &str = concat!(
    arrow!("arrow"),
    arrow!("arrow-catch"),
    arrow!("arrow-taken"),
    r#"<symbol id="graph-pass" viewBox="0 0 16 16"><path d="M2 8h11M9 4l4 4-4 4"/></symbol>"#,
    r#"<symbol id="graph-task" viewBox="0 0 16 16"><path d="M2 3h12v10H2zM5 8l2 2 4-4"/></symbol>"#,
    r#"<symbol id="graph-callback" viewBox="0 0 16 16"><path d="M4 2h8M4 14h8M5 2c0 4 6 4 6 6s-6 2-6 6"#,
    r#"M11 2c0 4-6 4-6 6s6 2 6 6"/></symbol>"#,
    r#"<symbol id="graph-choice" viewBox="0 0 16 16"><path d="M8 2l6 6-6 6-6-6z"/></symbol>"#,
    r#"<symbol id="graph-wait" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6"/><path d="M8 4.5V8l2.5 2"/></symbol>"#,
    r#"<symbol id="graph-succeed" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6"/>"#,
    r#"<path d="M5 8l2 2.5L11 6"/></symbol>"#,
    r#"<symbol id="graph-fail" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6"/>"#,
    r#"<path d="M5.5 5.5l5 5M10.5 5.5l-5 5"/></symbol>"#,
    r#"<symbol id="graph-parallel" viewBox="0 0 16 16"><path d="M8 1v3M3 15V7h10v8M3 4h10v3M8 7v8"/></symbol>"#,
    r#"<symbol id="graph-map" viewBox="0 0 16 16"><path d="M2 2h9v9H2zM5 14h9V5"/></symbol>"#,
    r#"<symbol id="graph-unknown" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6"/></symbol>"#,
);

/// One icon for each class of a mark.
const MARKS: &str = concat!(
    r#"<symbol id="graph-is-done" viewBox="0 0 16 16"><path d="M3 8.5l3.5 3.5L13 4.5"/></symbol>"#,
    r#"<symbol id="graph-is-running" viewBox="0 0 16 16"><path d="M5 3l8 5-8 5z"/></symbol>"#,
    r#"<symbol id="graph-is-waiting" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6"/>"#,
    r#"<path d="M8 4.5V8l2.5 2"/></symbol>"#,
    r#"<symbol id="graph-is-retrying" viewBox="0 0 16 16"><path d="M13 8a5 5 0 1 1-1.5-3.5M12 1.5v3H9"/></symbol>"#,
    r#"<symbol id="graph-is-failed" viewBox="0 0 16 16"><path d="M4 4l8 8M12 4l-8 8"/></symbol>"#,
    r#"<symbol id="graph-is-stopped" viewBox="0 0 16 16"><path d="M4 4h8v8H4z"/></symbol>"#,
);

struct Pen<'l> {
    out: String,
    look: &'l Look,
}

impl Pen<'_> {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = self.out.write_fmt(text);
    }

    fn block(&mut self, block: &LaidBlock<'_>, x: f64, y: f64) {
        for line in &block.lines {
            self.edge(line, x, y);
        }
        for node in &block.nodes {
            self.node(node, x, y);
        }
        // Labels last: a line never runs over a text.
        for line in &block.lines {
            self.label(line, x, y);
        }
    }

    fn edge(&mut self, line: &LaidLine<'_>, x: f64, y: f64) {
        let class = class_of(line.kind);
        let key = (line.from.map(str::to_owned), line.to.map(str::to_owned), line.kind == EdgeKind::Catch);
        let taken = if self.look.taken.contains(&key) { " taken" } else { "" };
        self.put(format_args!(r#"<path class="edge {class}{taken}""#));
        for (name, pointer) in [("from", line.from), ("to", line.to)] {
            if let Some(pointer) = pointer {
                self.put(format_args!(r#" data-{name}="{}""#, Escaped(pointer)));
            }
        }
        let points: Vec<Point> = line.points.iter().map(|point| (point.0 + x, point.1 + y)).collect();
        self.put(format_args!(r#" d=""#));
        self.path(&points);
        self.put(format_args!(r#""/>"#));
    }

    /// Straight where a line runs straight down or across, else a curve that leaves and arrives vertically.
    fn path(&mut self, points: &[Point]) {
        let Some(first) = points.first() else { return };
        self.put(format_args!("M{:.1} {:.1}", first.0, first.1));
        for pair in points.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            if (a.0 - b.0).abs() < 0.6 || (a.1 - b.1).abs() < 0.6 {
                self.put(format_args!("L{:.1} {:.1}", b.0, b.1));
            } else {
                let bend = ((b.1 - a.1).abs() / 2.0).min(CURVE_MAX).copysign(b.1 - a.1);
                let (c1, c2) = (a.1 + bend, b.1 - bend);
                self.put(format_args!("C{:.1} {c1:.1} {:.1} {c2:.1} {:.1} {:.1}", a.0, b.0, b.0, b.1));
            }
        }
    }

    fn node(&mut self, node: &LaidNode<'_>, x: f64, y: f64) {
        let (left, top) = (node.x + x - node.width / 2.0, node.y + y - node.height / 2.0);
        match &node.shape {
            Shape::Start { small: false } => self.pill("Start", node, left, top),
            Shape::End { small: false } => self.pill("End", node, left, top),
            Shape::Start { small: true } => self.dot(node, x, y, 4.5, false),
            Shape::End { small: true } => self.dot(node, x, y, 3.0, true),
            Shape::State { node: state, name, detail, lanes } => {
                let kind = icon(state.kind);
                let class = if lanes.is_empty() { "" } else { " box" };
                let mark = self.look.marks.get(&state.pointer);
                let marked = mark.map_or("", |mark| mark.class);
                let space = if marked.is_empty() { "" } else { " " };
                let chosen = if self.look.chosen.as_ref() == Some(&state.pointer) { " chosen" } else { "" };
                let pointer = Escaped(&state.pointer);
                self.put(format_args!(
                    r#"<g class="state {kind}{class}{space}{marked}{chosen}" data-state="{pointer}">"#
                ));
                if let Some(link) = &self.look.link {
                    let (link, pointer) = (Escaped(link), Encoded(&state.pointer));
                    self.put(format_args!(r#"<a href="{link}{pointer}">"#));
                }
                // Its first title is the name of a link.
                let items = mark.and_then(|mark| mark.items.as_ref());
                let how = mark.map(|mark| format!(", {}", mark.words)).unwrap_or_default();
                let how = how + &items.map(|items| format!(", {}", items.words)).unwrap_or_default();
                self.put(format_args!("<title>{}</title>", Escaped(&(title(&state.name, &state.detail) + &how))));
                self.rect("card", (left, top), (node.width, node.height), 7.0);
                // A state in two lines has its icon between them.
                let middle = if lanes.is_empty() { node.height / 2.0 } else { TITLE_HEIGHT / 2.0 };
                let icon_top = top + middle - 8.0;
                self.put(format_args!(
                    r##"<use class="icon" href="#graph-{kind}" x="{:.1}" y="{icon_top:.1}" width="16" height="16"/>"##,
                    left + 8.0
                ));
                let two = !detail.is_empty() && lanes.is_empty();
                let base = top + middle + if two { -2.0 } else { 4.5 };
                self.put(format_args!(r#"<text x="{:.1}" y="{base:.1}">{}</text>"#, left + 30.0, Escaped(name)));
                if two {
                    let (at, base) = (left + 30.0, base + 14.0);
                    let detail = Escaped(detail);
                    self.put(format_args!(r#"<text class="detail" x="{at:.1}" y="{base:.1}">{detail}</text>"#));
                }
                if let Some(Mark { class: marked, .. }) = mark {
                    // On the corner of the card, where no text is.
                    let (x, y) = (left + node.width - 4.0, top + 2.0);
                    let (left, top) = (x - 6.5, y - 6.5);
                    self.put(format_args!(r#"<circle class="mark-ground" cx="{x:.1}" cy="{y:.1}" r="9"/>"#));
                    self.put(format_args!(
                        r##"<use class="mark" href="#graph-is-{marked}" x="{left:.1}" y="{top:.1}" "##
                    ));
                    self.put(format_args!(r#"width="13" height="13"/>"#));
                }
                if let Some(items) = items {
                    // Beside the name, where there is room.
                    let room = node.width - 30.0 - text::width(name, NAME_SIZE) - 30.0;
                    if !lanes.is_empty() && text::width(&items.words, DETAIL_SIZE) <= room {
                        let (x, base) = (left + node.width - 18.0, top + middle + 4.5);
                        let words = Escaped(&items.words);
                        self.put(format_args!(
                            r#"<text class="detail" text-anchor="end" x="{x:.1}" y="{base:.1}">{words}</text>"#
                        ));
                    }
                    self.items(items, (left + 10.0, top + node.height - 9.0), node.width - 20.0);
                }
                if self.look.link.is_some() {
                    self.put(format_args!("</a>"));
                }
                for lane in lanes {
                    let (x, y) = (left + lane.x, top + lane.y);
                    if lanes.len() > 1 {
                        let size = (lane.block.width + PADDING, lane.height + PADDING);
                        self.rect("lane", (x - PADDING / 2.0, y - PADDING / 2.0), size, 5.0);
                    }
                    self.block(&lane.block, x, y);
                }
                self.put(format_args!("</g>"));
            }
        }
    }

    /// The items of a Map as one bar: a part for each class, wide enough to be seen.
    fn items(&mut self, items: &Items, (left, top): Point, width: f64) {
        let whole = items.parts.iter().map(|(_, n)| n).sum::<u64>();
        let shown: Vec<_> = items.parts.iter().filter(|(_, n)| *n > 0).collect();
        if whole == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a share of a few hundred pixels")]
        let share = |n: u64| n as f64 / whole as f64;
        let wide: Vec<f64> = shown.iter().map(|(_, n)| (share(*n) * width).max(PART_MIN)).collect();
        let scale = width / wide.iter().sum::<f64>();
        let mut x = left;
        for ((class, _), wide) in shown.into_iter().zip(wide) {
            let wide = wide * scale;
            self.put(format_args!(
                r#"<rect class="part {class}" x="{x:.1}" y="{top:.1}" width="{wide:.1}" height="5"/>"#
            ));
            x += wide;
        }
    }

    fn pill(&mut self, text: &str, node: &LaidNode<'_>, left: f64, top: f64) {
        self.put(format_args!(r#"<g class="pill">"#));
        self.rect("", (left, top), (node.width, node.height), node.height / 2.0);
        let (x, y) = (left + node.width / 2.0, top + node.height / 2.0 + 4.0);
        self.put(format_args!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="middle">{text}</text></g>"#));
    }

    fn dot(&mut self, node: &LaidNode<'_>, x: f64, y: f64, radius: f64, ring: bool) {
        let (x, y) = (node.x + x, node.y + y);
        self.put(format_args!(r#"<g class="pill"><circle cx="{x:.1}" cy="{y:.1}" r="{radius}"/>"#));
        if ring {
            self.put(format_args!(r#"<circle class="ring" cx="{x:.1}" cy="{y:.1}" r="5"/>"#));
        }
        self.put(format_args!("</g>"));
    }

    fn rect(&mut self, class: &str, (x, y): Point, (width, height): (f64, f64), radius: f64) {
        if class.is_empty() {
            self.put(format_args!("<rect "));
        } else {
            self.put(format_args!(r#"<rect class="{class}" "#));
        }
        self.put(format_args!(r#"x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="{radius:.0}"/>"#));
    }

    fn label(&mut self, line: &LaidLine<'_>, x: f64, y: f64) {
        let Some(label) = &line.label else { return };
        let (x, y) = (label.x + x, label.y + y);
        self.put(format_args!(r#"<g class="label {}">"#, class_of(line.kind)));
        if let Some(whole) = &label.whole {
            self.put(format_args!("<title>{}</title>", Escaped(whole)));
        }
        self.rect("", (x - label.width / 2.0, y - label.height / 2.0), (label.width, label.height), 3.0);
        let base = y + 3.5;
        let text = Escaped(&label.text);
        self.put(format_args!(r#"<text x="{x:.1}" y="{base:.1}" text-anchor="middle">{text}</text></g>"#));
    }
}

fn class_of(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Next => "next",
        EdgeKind::Rule => "rule",
        EdgeKind::Default => "default",
        EdgeKind::Catch => "catch",
    }
}

fn icon(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Pass => "pass",
        NodeKind::Task => "task",
        NodeKind::Callback => "callback",
        NodeKind::Choice => "choice",
        NodeKind::Wait => "wait",
        NodeKind::Succeed => "succeed",
        NodeKind::Fail => "fail",
        NodeKind::Parallel => "parallel",
        NodeKind::Map => "map",
        NodeKind::Unknown => "unknown",
    }
}

fn title(name: &str, detail: &str) -> String {
    if detail.is_empty() { name.to_owned() } else { format!("{name} ({detail})") }
}

/// A text as XML holds it. Control characters that XML does not have become spaces.
struct Escaped<'t>(&'t str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\0'..='\u{1f}' | '\u{7f}' | '\u{fffe}' | '\u{ffff}' => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A text as the value of a query holds it.
struct Encoded<'t>(&'t str);

impl std::fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
                f.write_char(char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}
