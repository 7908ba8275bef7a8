//! Where the vertices of a layered block stand.
//!
//! From side to side: each vertex wants to stand at the mean of its neighbours; each row keeps its order and its
//! distances and comes as near to these wishes as it can (isotonic regression). From top to bottom: each rank is as
//! high as its highest vertex.

use super::layers::{Layers, What};

/// Between two nodes or labels of a row.
const NODE_GAP: f64 = 28.0;
/// Beside a bend.
const BEND_GAP: f64 = 16.0;
/// Between two ranks.
const RANK_GAP: f64 = 18.0;
/// Passes over the rows. The first ones look at one side only, so that a block finds its shape from the start downward.
const PASSES: usize = 44;
const ONE_SIDED: usize = 8;
/// How strongly a vertex without neighbours stays where it is.
const REST: f64 = 0.2;
/// Passes that straighten long lines.
const STRAIGHTENINGS: usize = 3;

/// Centres of all vertices, and top and bottom of each rank.
#[derive(Debug)]
pub(super) struct Coordinates {
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    pub tops: Vec<f64>,
    pub bottoms: Vec<f64>,
}

impl Coordinates {
    pub fn of(layers: &Layers) -> Self {
        let mut x = first_places(layers);
        for pass in 0..PASSES {
            let downward = pass % 2 == 0;
            for step in 0..layers.rows.len() {
                let row = if downward { step } else { layers.rows.len() - 1 - step };
                let wishes: Vec<(f64, f64)> = layers.rows[row]
                    .iter()
                    .map(|vertex| wish(layers, &x, *vertex, (pass < ONE_SIDED).then_some(downward)))
                    .collect();
                let gaps: Vec<f64> =
                    layers.rows[row].windows(2).map(|pair| distance(layers, pair[0], pair[1])).collect();
                for (vertex, at) in layers.rows[row].iter().zip(spread(&wishes, &gaps)) {
                    x[*vertex] = at;
                }
            }
        }
        straighten(layers, &mut x);
        let (mut tops, mut bottoms, mut at) = (Vec::new(), Vec::new(), 0.0);
        for row in &layers.rows {
            let height = row.iter().map(|vertex| layers.vertices[*vertex].height).fold(0.0, f64::max);
            tops.push(at);
            at += height;
            bottoms.push(at);
            at += RANK_GAP;
        }
        // A node stands at the top of its rank beside higher ones; a label in the middle.
        let y = layers
            .vertices
            .iter()
            .map(|vertex| match vertex.what {
                What::Node => tops[vertex.rank] + vertex.height / 2.0,
                What::Bend | What::Label => f64::midpoint(tops[vertex.rank], bottoms[vertex.rank]),
            })
            .collect();
        Self { x, y, tops, bottoms }
    }
}

/// Least distance between the centres of two neighbours of a row.
fn distance(layers: &Layers, left: usize, right: usize) -> f64 {
    let (left, right) = (&layers.vertices[left], &layers.vertices[right]);
    let bends = left.what == What::Bend || right.what == What::Bend;
    f64::midpoint(left.width, right.width) + if bends { BEND_GAP } else { NODE_GAP }
}

/// Each row side by side, around zero.
fn first_places(layers: &Layers) -> Vec<f64> {
    let mut x = vec![0.0; layers.vertices.len()];
    for row in &layers.rows {
        let mut at = 0.0;
        for (number, vertex) in row.iter().enumerate() {
            if number > 0 {
                at += distance(layers, row[number - 1], *vertex);
            }
            x[*vertex] = at;
        }
        for vertex in row {
            x[*vertex] -= at / 2.0;
        }
    }
    x
}

/// Where a vertex wants to be, and how much. `one_side`: only neighbours above (true) or below count, where there are
/// some.
fn wish(layers: &Layers, x: &[f64], vertex: usize, one_side: Option<bool>) -> (f64, f64) {
    let v = &layers.vertices[vertex];
    let (above, below) = match one_side {
        Some(true) if !v.above.is_empty() => (v.above.as_slice(), &[] as &[_]),
        Some(false) if !v.below.is_empty() => (&[] as &[_], v.below.as_slice()),
        _ => (v.above.as_slice(), v.below.as_slice()),
    };
    let (mut sum, mut total) = (0.0, 0.0);
    for &(other, weight) in above.iter().chain(below) {
        sum += x[other] * weight;
        total += weight;
    }
    if total == 0.0 { (x[vertex], REST) } else { (sum / total, total) }
}

/// Places in order, at least `gaps` apart, with the least weighted squares of distances to the wishes (position,
/// weight): pool adjacent violators.
pub(super) fn spread(wishes: &[(f64, f64)], gaps: &[f64]) -> Vec<f64> {
    let mut offsets = vec![0.0];
    for gap in gaps {
        offsets.push(offsets[offsets.len() - 1] + gap);
    }
    // Mean, weight, count.
    let mut pools: Vec<(f64, f64, usize)> = Vec::with_capacity(wishes.len());
    for (&(at, weight), offset) in wishes.iter().zip(&offsets) {
        let mut pool = (at - offset, weight, 1);
        while let Some(last) = pools.pop_if(|last| last.0 > pool.0) {
            let weight = last.1 + pool.1;
            pool = ((last.0 * last.1 + pool.0 * pool.1) / weight, weight, last.2 + pool.2);
        }
        pools.push(pool);
    }
    let places = pools.into_iter().flat_map(|(mean, _, count)| std::iter::repeat_n(mean, count));
    places.zip(offsets).map(|(mean, offset)| mean + offset).collect()
}

/// A long line runs straight where its neighbours leave room for that in every rank.
fn straighten(layers: &Layers, x: &mut [f64]) {
    for _ in 0..STRAIGHTENINGS {
        for chain in layers.chains.iter().filter(|chain| chain.len() > 1) {
            let (mut least, mut most) = (f64::MIN, f64::MAX);
            for vertex in chain {
                let (row, place) = (&layers.rows[layers.vertices[*vertex].rank], layers.place[*vertex]);
                if place > 0 {
                    least = least.max(x[row[place - 1]] + distance(layers, row[place - 1], *vertex));
                }
                if let Some(next) = row.get(place + 1) {
                    most = most.min(x[*next] - distance(layers, *vertex, *next));
                }
            }
            if least <= most {
                let mut places: Vec<f64> = chain.iter().map(|vertex| x[*vertex]).collect();
                places.sort_by(f64::total_cmp);
                let at = places[places.len() / 2].clamp(least, most);
                for vertex in chain {
                    x[*vertex] = at;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_distances_and_stays_near_its_wishes() {
        assert_eq!(spread(&[(0.0, 1.0), (100.0, 1.0)], &[10.0]), [0.0, 100.0]);
        assert_eq!(spread(&[(5.0, 1.0), (5.0, 1.0)], &[10.0]), [0.0, 10.0]);
        assert_eq!(spread(&[(5.0, 3.0), (5.0, 1.0)], &[8.0]), [3.0, 11.0]);
        assert!(spread(&[], &[]).is_empty());
    }
}
