//! Layers of one block: a rank for each node, points where long edges pass a rank, and an order inside each rank that
//! has few crossings.
//!
//! Nodes are in even ranks. Odd ranks hold bends of edges and their labels. A label is a vertex with a size of its own,
//! so two labels, or a label and an edge, never share a place.

/// Sweeps over the ranks that look for an order with fewer crossings.
const SWEEPS_MAX: usize = 24;
/// Points that long edges may have together. An edge beyond that is drawn straight: a picture with so many long edges
/// is unreadable in any case, and layout stays fast.
const BENDS_MAX: usize = 20_000;

/// An edge of the block as layout sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub from: usize,
    pub to: usize,
    /// Size of the label.
    pub label: Option<(f64, f64)>,
    /// A Catch: laid out after the main flow.
    pub minor: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum What {
    Node,
    Bend,
    Label,
}

#[derive(Debug)]
pub(super) struct Vertex {
    pub width: f64,
    pub height: f64,
    pub what: What,
    pub rank: usize,
    /// Neighbours above and below, each with the weight of the line between.
    pub above: Vec<(usize, f64)>,
    pub below: Vec<(usize, f64)>,
}

#[derive(Debug)]
pub(super) struct Layers {
    /// The nodes in their order, then bends and labels.
    pub vertices: Vec<Vertex>,
    /// Vertices of each rank from left to right.
    pub rows: Vec<Vec<usize>>,
    /// Place of each vertex in its row.
    pub place: Vec<usize>,
    /// Bends and label of each link, from the upper end to the lower.
    pub chains: Vec<Vec<usize>>,
    /// The vertex of each link's label.
    pub labels: Vec<Option<usize>>,
    /// Links that lead up: they are laid out from their target to their source.
    pub upward: Vec<bool>,
}

/// The main flow is straighter than its branches, and long lines are straighter than short ones.
mod weight {
    pub const MINOR: f64 = 0.5;
    pub const MAJOR: f64 = 1.0;
    pub const SPINE: f64 = 4.0;
    pub const TO_BEND: f64 = 2.0;
    pub const BETWEEN_BENDS: f64 = 8.0;
}

impl Layers {
    pub fn of(sizes: &[(f64, f64)], links: &[Link], start: Option<usize>) -> Self {
        let flow = Flow::of(sizes.len(), links, start);
        let ranks = flow.ranks(start);
        let spine = flow.spine(links, start);
        let vertices = sizes
            .iter()
            .zip(&ranks)
            .map(|(&(width, height), &rank)| Vertex::new((width, height), What::Node, rank))
            .collect();
        let mut layers = Self {
            vertices,
            rows: Vec::new(),
            place: Vec::new(),
            chains: vec![Vec::new(); links.len()],
            labels: vec![None; links.len()],
            upward: flow.upward,
        };
        for (number, link) in links.iter().enumerate().filter(|(_, link)| link.from != link.to) {
            layers.thread(number, *link, spine[number]);
        }
        layers.order(&flow.order);
        layers
    }

    /// The upper and the lower end of a link.
    pub fn ends(&self, number: usize, link: Link) -> (usize, usize) {
        if self.upward[number] { (link.to, link.from) } else { (link.from, link.to) }
    }

    /// Makes the bends and the label of one link.
    fn thread(&mut self, number: usize, link: Link, on_spine: bool) {
        let (upper, lower) = self.ends(number, link);
        let (first, last) = (self.vertices[upper].rank + 1, self.vertices[lower].rank);
        if self.vertices.len() + (last - first) > BENDS_MAX {
            return;
        }
        // A label stands at the source of its link.
        let label_rank = if self.upward[number] { last - 1 } else { first };
        let base = match (link.minor, on_spine) {
            (_, true) => weight::SPINE,
            (true, false) => weight::MINOR,
            (false, false) => weight::MAJOR,
        };
        let mut before = upper;
        for rank in first..last {
            let vertex = match link.label.filter(|_| rank == label_rank) {
                Some(size) => Vertex::new(size, What::Label, rank),
                None => Vertex::new((0.0, 0.0), What::Bend, rank),
            };
            let here = self.vertices.len();
            self.vertices.push(vertex);
            if self.vertices[here].what == What::Label {
                self.labels[number] = Some(here);
            }
            let factor = if before == upper { weight::TO_BEND } else { weight::BETWEEN_BENDS };
            self.tie(before, here, base * factor);
            self.chains[number].push(here);
            before = here;
        }
        self.tie(before, lower, base * weight::TO_BEND);
    }

    fn tie(&mut self, upper: usize, lower: usize, weight: f64) {
        self.vertices[upper].below.push((lower, weight));
        self.vertices[lower].above.push((upper, weight));
    }

    /// First the order of a walk from the start, then sweeps that put each vertex near its neighbours. The best is
    /// kept.
    fn order(&mut self, walk: &[usize]) {
        let ranks = self.vertices.iter().map(|v| v.rank + 1).max().unwrap_or(0);
        self.rows = vec![Vec::new(); ranks];
        let mut seen = vec![false; self.vertices.len()];
        let mut stack: Vec<usize> = (0..self.vertices.len()).rev().chain(walk.iter().rev().copied()).collect();
        while let Some(vertex) = stack.pop() {
            if !std::mem::replace(&mut seen[vertex], true) {
                self.rows[self.vertices[vertex].rank].push(vertex);
                stack.extend(self.vertices[vertex].below.iter().rev().map(|(next, _)| *next));
            }
        }
        self.place = vec![0; self.vertices.len()];
        self.number_places();
        let (mut fewest, mut best) = (self.crossings(), self.rows.clone());
        for sweep in 0..SWEEPS_MAX {
            if fewest == 0 {
                break;
            }
            let downward = sweep % 2 == 0;
            for step in 0..ranks {
                let row = if downward { step } else { ranks - 1 - step };
                self.sort_row(row, downward, sweep / 2 % 2 == 1);
            }
            let crossings = self.crossings();
            if crossings < fewest {
                (fewest, best) = (crossings, self.rows.clone());
            }
        }
        self.rows = best;
        self.number_places();
    }

    /// Sorts a row by the mean place of the neighbours on one side. Ties keep their order, or turn it round, so that a
    /// sweep can leave a dead end.
    fn sort_row(&mut self, row: usize, downward: bool, turn_ties: bool) {
        let mean = |(at, vertex): (usize, usize)| {
            let vertex_ref = &self.vertices[vertex];
            let neighbours = if downward { &vertex_ref.above } else { &vertex_ref.below };
            let total: f64 = neighbours.iter().map(|(_, weight)| weight).sum();
            let sum: f64 = neighbours.iter().map(|&(other, weight)| index(self.place[other]) * weight).sum();
            (if neighbours.is_empty() { index(at) } else { sum / total }, at, vertex)
        };
        let mut keyed: Vec<(f64, usize, usize)> = self.rows[row].iter().copied().enumerate().map(mean).collect();
        keyed.sort_by(|a, b| {
            let ties = if turn_ties { b.1.cmp(&a.1) } else { a.1.cmp(&b.1) };
            a.0.total_cmp(&b.0).then(ties)
        });
        for (at, (_, _, vertex)) in keyed.into_iter().enumerate() {
            self.rows[row][at] = vertex;
            self.place[vertex] = at;
        }
    }

    fn number_places(&mut self) {
        for row in &self.rows {
            for (at, vertex) in row.iter().enumerate() {
                self.place[*vertex] = at;
            }
        }
    }

    /// Pairs of lines between neighbouring rows that cross: inversions, counted with a Fenwick tree.
    fn crossings(&self) -> usize {
        let mut crossings = 0;
        let (mut ends, mut tree) = (Vec::new(), Vec::new());
        for row in &self.rows {
            ends.clear();
            for vertex in row {
                let from = ends.len();
                ends.extend(self.vertices[*vertex].below.iter().map(|(other, _)| self.place[*other]));
                ends[from..].sort_unstable();
            }
            tree.clear();
            tree.resize(ends.iter().max().map_or(1, |most| most + 2), 0_usize);
            for (before, end) in ends.iter().enumerate() {
                let (mut not_right, mut at) = (0, end + 1);
                while at > 0 {
                    not_right += tree[at];
                    at &= at - 1;
                }
                crossings += before - not_right;
                let mut at = end + 1;
                while at < tree.len() {
                    tree[at] += 1;
                    at += at & at.wrapping_neg();
                }
            }
        }
        crossings
    }
}

impl Vertex {
    fn new((width, height): (f64, f64), what: What, rank: usize) -> Self {
        Self { width, height, what, rank, above: Vec::new(), below: Vec::new() }
    }
}

/// Counts are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "a place in a row, bounded by the vertices of a picture")]
pub(super) fn index(at: usize) -> f64 {
    at as f64
}

/// The block without circles: links that lead back are turned round.
struct Flow {
    upward: Vec<bool>,
    /// All nodes, each before those it leads to.
    order: Vec<usize>,
    below: Vec<Vec<usize>>,
    above: Vec<Vec<usize>>,
}

impl Flow {
    /// Walks depth-first from the start, main flow before Catch: a link to a node that the walk is still inside leads
    /// back.
    fn of(nodes: usize, links: &[Link], start: Option<usize>) -> Self {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut out = vec![Vec::new(); nodes];
        for (number, link) in links.iter().enumerate() {
            out[link.from].push(number);
        }
        for numbers in &mut out {
            numbers.sort_by_key(|number| links[*number].minor);
        }
        let (mut marks, mut upward, mut order) = (vec![Mark::New; nodes], vec![false; links.len()], Vec::new());
        for root in start.into_iter().chain(0..nodes) {
            if marks[root] != Mark::New {
                continue;
            }
            marks[root] = Mark::Open;
            let mut path = vec![(root, 0)];
            while let Some((node, next)) = path.last_mut() {
                let Some(&number) = out[*node].get(*next) else {
                    marks[*node] = Mark::Done;
                    order.push(*node);
                    path.pop();
                    continue;
                };
                *next += 1;
                let to = links[number].to;
                match marks[to] {
                    Mark::Open => upward[number] = true,
                    Mark::Done => {}
                    Mark::New => {
                        marks[to] = Mark::Open;
                        path.push((to, 0));
                    }
                }
            }
        }
        order.reverse();
        let (mut below, mut above) = (vec![Vec::new(); nodes], vec![Vec::new(); nodes]);
        for (link, upward) in links.iter().zip(&upward).filter(|(link, _)| link.from != link.to) {
            let (upper, lower) = if *upward { (link.to, link.from) } else { (link.from, link.to) };
            below[upper].push(lower);
            above[lower].push(upper);
        }
        Self { upward, order, below, above }
    }

    /// Even ranks: as far down as the longest way from above, then nearer to the following ranks where more lines
    /// become shorter than longer.
    fn ranks(&self, start: Option<usize>) -> Vec<usize> {
        let mut ranks = vec![0_usize; self.order.len()];
        for node in &self.order {
            for lower in &self.below[*node] {
                ranks[*lower] = ranks[*lower].max(ranks[*node] + 2);
            }
        }
        for node in self.order.iter().rev().filter(|node| Some(**node) != start) {
            if self.below[*node].len() > self.above[*node].len() {
                let nearest = self.below[*node].iter().map(|lower| ranks[*lower]).min();
                ranks[*node] = nearest.map_or(ranks[*node], |rank| ranks[*node].max(rank - 2));
            }
        }
        let least = ranks.iter().min().copied().unwrap_or(0);
        ranks.iter().map(|rank| rank - least).collect()
    }

    /// Links of the main flow: from the start along the longest way down, without Catch.
    fn spine(&self, links: &[Link], start: Option<usize>) -> Vec<bool> {
        let mut depth = vec![0_usize; self.order.len()];
        let main = |number: usize, link: &Link| !link.minor && !self.upward[number] && link.from != link.to;
        let mut out = vec![Vec::new(); self.order.len()];
        for (number, link) in links.iter().enumerate().filter(|(number, link)| main(*number, link)) {
            out[link.from].push(number);
        }
        for node in self.order.iter().rev() {
            depth[*node] = out[*node].iter().map(|number| depth[links[*number].to] + 1).max().unwrap_or(0);
        }
        let mut spine = vec![false; links.len()];
        let mut here = start;
        while let Some(node) = here {
            // The first of the deepest.
            let next = out[node].iter().copied().rev().max_by_key(|number| depth[links[*number].to]);
            here = next.map(|number| {
                spine[number] = true;
                links[number].to
            });
        }
        spine
    }
}
