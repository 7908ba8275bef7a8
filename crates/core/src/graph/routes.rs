//! The way of each edge through a placed block, and where its label stands.

use super::coordinates::{Coordinates, spread};
use super::layers::{Layers, Link, index};

/// A port keeps this distance from the corner of its node, and from the next port.
const CORNER: f64 = 14.0;
const PORT_GAP: f64 = 14.0;
/// How far a transition of a state to itself reaches beyond its node.
pub(super) const LOOP_REACH: f64 = 20.0;

pub(super) type Point = (f64, f64);

#[derive(Debug, Clone)]
pub(super) struct Route {
    /// From the source to the target. A line between two points that differ in both directions is drawn as a curve.
    pub points: Vec<Point>,
    /// Centre of the label.
    pub label: Option<Point>,
}

pub(super) fn routes(sizes: &[(f64, f64)], links: &[Link], layers: &Layers, at: &Coordinates) -> Vec<Route> {
    let ports = Ports::of(sizes, links, layers, at);
    links
        .iter()
        .enumerate()
        .map(|(number, link)| {
            if link.from == link.to {
                return around(sizes[link.from], (at.x[link.from], at.y[link.from]), link.label);
            }
            let (upper, lower) = layers.ends(number, *link);
            let mut points = vec![(ports.bottom[number], at.y[upper] + sizes[upper].1 / 2.0)];
            // Down along higher neighbours of the same rank.
            let rank_bottom = at.bottoms[layers.vertices[upper].rank];
            if rank_bottom > points[0].1 + 0.5 {
                points.push((ports.bottom[number], rank_bottom));
            }
            for vertex in &layers.chains[number] {
                let rank = layers.vertices[*vertex].rank;
                points.push((at.x[*vertex], at.tops[rank]));
                if at.bottoms[rank] > at.tops[rank] {
                    points.push((at.x[*vertex], at.bottoms[rank]));
                }
            }
            points.push((ports.top[number], at.y[lower] - sizes[lower].1 / 2.0));
            if layers.upward[number] {
                points.reverse();
            }
            let label = layers.labels[number].map(|vertex| (at.x[vertex], at.y[vertex]));
            Route { label: label.or_else(|| link.label.map(|_| middle(&points))), points: straight(points) }
        })
        .collect()
}

/// A state that leads to itself: round its right side.
fn around((width, height): (f64, f64), (x, y): Point, label: Option<(f64, f64)>) -> Route {
    let (side, out) = (x + width / 2.0, x + width / 2.0 + LOOP_REACH);
    let (top, bottom) = (y - height / 4.0, y + height / 4.0);
    Route {
        points: vec![(side, bottom), (out, bottom), (out, top), (side, top)],
        label: label.map(|(width, _)| (out + width / 2.0, y)),
    }
}

fn middle(points: &[Point]) -> Point {
    let (a, b) = (points[0], points[points.len() - 1]);
    (f64::midpoint(a.0, b.0), f64::midpoint(a.1, b.1))
}

/// Without the points that lie on the line between their neighbours.
fn straight(points: Vec<Point>) -> Vec<Point> {
    let mut kept: Vec<Point> = Vec::with_capacity(points.len());
    for point in points {
        if let [.., a, b] = kept[..]
            && (a.0 - b.0).abs() < 0.5
            && (b.0 - point.0).abs() < 0.5
        {
            kept.pop();
        }
        kept.push(point);
    }
    kept
}

/// Where links leave the bottom of their upper node and enter the top of their lower one.
struct Ports {
    bottom: Vec<f64>,
    top: Vec<f64>,
}

impl Ports {
    fn of(sizes: &[(f64, f64)], links: &[Link], layers: &Layers, at: &Coordinates) -> Self {
        let mut leaving = vec![Vec::new(); sizes.len()];
        let mut entering = leaving.clone();
        for (number, link) in links.iter().enumerate().filter(|(_, link)| link.from != link.to) {
            let (upper, lower) = layers.ends(number, *link);
            let chain = &layers.chains[number];
            leaving[upper].push((at.x[chain.first().copied().unwrap_or(lower)], number));
            entering[lower].push((at.x[chain.last().copied().unwrap_or(upper)], number));
        }
        let mut ports = Self { bottom: vec![0.0; links.len()], top: vec![0.0; links.len()] };
        for (sides, places) in [(leaving, &mut ports.bottom), (entering, &mut ports.top)] {
            for (node, mut side) in sides.into_iter().enumerate() {
                side.sort_by(|a, b| a.0.total_cmp(&b.0));
                for (place, (_, number)) in along(at.x[node], sizes[node].0, &side).into_iter().zip(&side) {
                    places[*number] = place;
                }
            }
        }
        ports
    }
}

/// Ports of one side of a node: each straight above or below its other end where the node is wide enough, else spread
/// around the middle.
fn along(centre: f64, width: f64, side: &[(f64, usize)]) -> Vec<f64> {
    let room = (width - 2.0 * CORNER).max(0.0);
    let gap = if side.len() > 1 { PORT_GAP.min(room / index(side.len() - 1)) } else { 0.0 };
    let (least, most) = (centre - room / 2.0, centre + room / 2.0);
    let wishes: Vec<(f64, f64)> = side.iter().map(|(x, _)| (x.clamp(least, most), 1.0)).collect();
    let places = spread(&wishes, &vec![gap; side.len().saturating_sub(1)]);
    // The spread may have pushed some over the corners. The bounds of each port leave room for the ports beside it.
    let bounded = places.into_iter().enumerate().map(|(number, place)| {
        let (before, after) = (index(number) * gap, index(side.len() - 1 - number) * gap);
        place.clamp(least + before, (most - after).max(least + before))
    });
    bounded.collect()
}
