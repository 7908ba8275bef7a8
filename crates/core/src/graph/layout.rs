//! A diagram with places: every block laid out, from the innermost outward.

use super::coordinates::Coordinates;
use super::diagram::{Block, Diagram, Edge, EdgeKind, Node};
use super::layers::{Layers, Link};
use super::routes::{LOOP_REACH, Point, Route, routes};
use super::text;

pub(super) const NAME_SIZE: f64 = 13.0;
pub(super) const DETAIL_SIZE: f64 = 11.0;
pub(super) const LABEL_SIZE: f64 = 10.5;
/// Room for the icon at the left of a state's texts, and at their right.
pub(super) const ICON_ROOM: f64 = 30.0;
const RIGHT_ROOM: f64 = 12.0;
/// Longer names and details are cut.
pub(super) const TEXT_WIDTH_MAX: f64 = 240.0;
const LABEL_WIDTH_MAX: f64 = 220.0;
const STATE_WIDTH_MIN: f64 = 96.0;
const STATE_HEIGHT: f64 = 34.0;
const DETAIL_HEIGHT: f64 = 14.0;
const LABEL_HEIGHT: f64 = 16.0;
/// The title of a container, and the room around its blocks.
pub(super) const TITLE_HEIGHT: f64 = 32.0;
pub(super) const PADDING: f64 = 14.0;
/// Branches stand side by side up to this width, then in a new row.
const ROW_WIDTH_MAX: f64 = 1_600.0;
const PILL: (f64, f64) = (54.0, 26.0);
const DOT: (f64, f64) = (10.0, 10.0);
/// Above so many states, containers are drawn closed: a picture of all of them can be neither read nor scrolled.
const STATES_OPEN_MAX: usize = 150;

/// How containers are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Each with its states.
    Open,
    /// As a box with the number of its states.
    Closed,
}

impl Fold {
    /// The default for a diagram with so many states.
    pub const fn for_size(states: usize) -> Self {
        if states > STATES_OPEN_MAX { Self::Closed } else { Self::Open }
    }
}

/// A diagram with places.
#[derive(Debug)]
pub struct Laid<'d> {
    pub(super) top: LaidBlock<'d>,
    pub(super) states: usize,
}

#[derive(Debug)]
pub(super) struct LaidBlock<'d> {
    pub width: f64,
    pub height: f64,
    pub nodes: Vec<LaidNode<'d>>,
    pub lines: Vec<LaidLine<'d>>,
}

#[derive(Debug)]
pub(super) struct LaidNode<'d> {
    pub shape: Shape<'d>,
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

#[derive(Debug)]
pub(super) enum Shape<'d> {
    State { node: &'d Node, name: String, detail: String, lanes: Vec<Lane<'d>> },
    Start { small: bool },
    End { small: bool },
}

/// A block inside a container.
#[derive(Debug)]
pub(super) struct Lane<'d> {
    /// Its place, relative to the upper left corner of the container.
    pub x: f64,
    pub y: f64,
    /// Height of the highest lane beside it.
    pub height: f64,
    pub block: LaidBlock<'d>,
}

#[derive(Debug)]
pub(super) struct LaidLine<'d> {
    pub kind: EdgeKind,
    /// Pointers of the states at the ends; none where a line begins at Start or leads to End.
    pub from: Option<&'d str>,
    pub to: Option<&'d str>,
    pub points: Vec<Point>,
    pub label: Option<LaidLabel>,
}

#[derive(Debug)]
pub(super) struct LaidLabel {
    pub text: String,
    /// The whole text, where it was cut.
    pub whole: Option<String>,
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl<'d> Laid<'d> {
    pub fn of(diagram: &'d Diagram, fold: Fold) -> Self {
        Self { top: block(&diagram.top, fold, true), states: diagram.states() }
    }

    /// Width and height of the picture, in pixels, without a margin.
    pub fn size(&self) -> (f64, f64) {
        (self.top.width, self.top.height)
    }
}

fn block(block: &Block, fold: Fold, top: bool) -> LaidBlock<'_> {
    let mut shapes: Vec<(Shape<'_>, (f64, f64))> = block.nodes.iter().map(|node| state(node, fold)).collect();
    let mut links: Vec<Link> = block.edges.iter().map(link).collect();
    let states = shapes.len();
    let mut start = block.start;
    // One state alone needs no signs for where it begins and ends.
    if top || states > 1 {
        if let Some(first) = block.start {
            let size = if top { PILL } else { DOT };
            links.push(plain(shapes.len(), first));
            start = Some(shapes.len());
            shapes.push((Shape::Start { small: !top }, size));
        }
        let ends: Vec<usize> = (0..states).filter(|number| block.nodes[*number].ends).collect();
        if !ends.is_empty() {
            let size = if top { PILL } else { DOT };
            links.extend(ends.iter().map(|from| plain(*from, shapes.len())));
            shapes.push((Shape::End { small: !top }, size));
        }
    }
    let sizes: Vec<(f64, f64)> = shapes.iter().map(|(_, size)| *size).collect();
    let layers = Layers::of(&with_loops(&sizes, &links), &links, start);
    let at = Coordinates::of(&layers);
    let routes = routes(&sizes, &links, &layers, &at);
    let nodes: Vec<LaidNode<'_>> = shapes
        .into_iter()
        .enumerate()
        .map(|(number, (shape, (width, height)))| LaidNode { shape, x: at.x[number], y: at.y[number], width, height })
        .collect();
    let pointer = |number: usize| block.nodes.get(number).map(|node| node.pointer.as_str());
    let lines = routes
        .into_iter()
        .enumerate()
        .map(|(number, Route { points, label })| {
            let edge = block.edges.get(number);
            LaidLine {
                kind: edge.map_or(EdgeKind::Next, |edge| edge.kind),
                from: pointer(links[number].from),
                to: pointer(links[number].to),
                points,
                label: edge.and_then(self::label).zip(label).map(|((text, whole, size), (x, y))| LaidLabel {
                    text,
                    whole,
                    x,
                    y,
                    width: size.0,
                    height: size.1,
                }),
            }
        })
        .collect();
    framed(nodes, lines)
}

/// Sizes that leave room, on both sides, for a transition of a state to itself and its label.
fn with_loops(sizes: &[(f64, f64)], links: &[Link]) -> Vec<(f64, f64)> {
    let mut sizes = sizes.to_vec();
    for link in links.iter().filter(|link| link.from == link.to) {
        let reach = LOOP_REACH + link.label.map_or(0.0, |(width, _)| width);
        sizes[link.from].0 += 2.0 * reach;
    }
    sizes
}

/// Moves all so that the upper left corner is at zero.
fn framed<'d>(mut nodes: Vec<LaidNode<'d>>, mut lines: Vec<LaidLine<'d>>) -> LaidBlock<'d> {
    let (mut least, mut most) = ((f64::MAX, f64::MAX), (f64::MIN, f64::MIN));
    let mut cover = |x: f64, y: f64, width: f64, height: f64| {
        least = (least.0.min(x - width / 2.0), least.1.min(y - height / 2.0));
        most = (most.0.max(x + width / 2.0), most.1.max(y + height / 2.0));
    };
    for node in &nodes {
        cover(node.x, node.y, node.width, node.height);
    }
    for line in &lines {
        for point in &line.points {
            cover(point.0, point.1, 0.0, 0.0);
        }
        if let Some(label) = &line.label {
            cover(label.x, label.y, label.width, label.height);
        }
    }
    if nodes.is_empty() {
        return LaidBlock { width: STATE_WIDTH_MIN, height: STATE_HEIGHT, nodes, lines };
    }
    for node in &mut nodes {
        (node.x, node.y) = (node.x - least.0, node.y - least.1);
    }
    for line in &mut lines {
        for point in &mut line.points {
            *point = (point.0 - least.0, point.1 - least.1);
        }
        if let Some(label) = &mut line.label {
            (label.x, label.y) = (label.x - least.0, label.y - least.1);
        }
    }
    LaidBlock { width: most.0 - least.0, height: most.1 - least.1, nodes, lines }
}

/// A state's shape and size.
fn state(node: &Node, fold: Fold) -> (Shape<'_>, (f64, f64)) {
    let name = text::fitted(&node.name, NAME_SIZE, TEXT_WIDTH_MAX);
    let open = fold == Fold::Open && node.blocks.iter().any(|block| !block.nodes.is_empty());
    let inside: usize = node.blocks.iter().map(Block::states).sum();
    let detail = match (open, inside) {
        (false, 1..) => format!("{inside} {}", if inside == 1 { "state" } else { "states" }),
        _ => node.detail.clone(),
    };
    let detail = text::fitted(&detail, DETAIL_SIZE, TEXT_WIDTH_MAX);
    let texts = text::width(&name, NAME_SIZE).max(text::width(&detail, DETAIL_SIZE));
    let least = (ICON_ROOM + texts + RIGHT_ROOM).max(STATE_WIDTH_MIN);
    if !open {
        let height = STATE_HEIGHT + if detail.is_empty() { 0.0 } else { DETAIL_HEIGHT };
        return (Shape::State { node, name, detail, lanes: Vec::new() }, (least, height));
    }
    let (mut lanes, inner, height) = shelves(node.blocks.iter().map(|inner| block(inner, fold, false)).collect());
    let width = least.max(inner + 2.0 * PADDING);
    // Blocks stand in the middle of a container that its title makes wider.
    for lane in &mut lanes {
        lane.x += (width - inner) / 2.0;
        lane.y += TITLE_HEIGHT;
    }
    (Shape::State { node, name, detail, lanes }, (width, height + TITLE_HEIGHT + PADDING))
}

/// Blocks side by side, in as many rows as their width asks for. Gives their places, and width and height of all.
fn shelves(blocks: Vec<LaidBlock<'_>>) -> (Vec<Lane<'_>>, f64, f64) {
    let gap = 2.0 * PADDING;
    let (mut lanes, mut width, mut x, mut y) = (Vec::<Lane<'_>>::with_capacity(blocks.len()), 0.0_f64, 0.0, 0.0);
    let (mut row, mut height) = (0, 0.0_f64);
    for block in blocks {
        if x > 0.0 && x + block.width > ROW_WIDTH_MAX {
            (row, x, y, height) = (lanes.len(), 0.0, y + height + gap, 0.0);
        }
        height = height.max(block.height);
        let next = x + block.width;
        width = width.max(next);
        lanes.push(Lane { x, y, height, block });
        x = next + gap;
        for lane in &mut lanes[row..] {
            lane.height = height;
        }
    }
    (lanes, width, y + height)
}

fn link(edge: &Edge) -> Link {
    let size = label(edge).map(|(_, _, size)| size);
    Link { from: edge.from, to: edge.to, label: size, minor: edge.kind == EdgeKind::Catch }
}

fn plain(from: usize, to: usize) -> Link {
    Link { from, to, label: None, minor: false }
}

/// The text of an edge's label, the whole text where that was cut, and its size.
fn label(edge: &Edge) -> Option<(String, Option<String>, (f64, f64))> {
    if edge.label.is_empty() {
        return None;
    }
    let text = text::fitted(&edge.label, LABEL_SIZE, LABEL_WIDTH_MAX);
    let whole = (text != edge.label).then(|| edge.label.clone());
    let width = text::width(&text, LABEL_SIZE) + 8.0;
    Some((text, whole, (width, LABEL_HEIGHT)))
}
