//! The items of a Map as one strip of cells, and their counts in words.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::graph::Items;

use super::super::story::Standing;
use super::super::words;

/// Cells of a strip; each tells the worst of its items.
const CELLS: usize = 160;
const CELL: usize = 6;
const GAP: usize = 1;
const HEIGHT: usize = 18;

/// The order in which states of items are told: the worst first.
const ORDER: [Standing; 6] =
    [Standing::Failed, Standing::Stopped, Standing::Waiting, Standing::Retrying, Standing::Running, Standing::Done];

/// `12 of 14 done, 1 failed, 1 running`.
pub fn counts(items: &[Option<Standing>]) -> String {
    let count = |standing: Standing| items.iter().filter(|item| **item == Some(standing)).count() as u64;
    let mut text = format!("{} of {} done", words::count(count(Standing::Done)), words::count(items.len() as u64));
    for standing in ORDER.into_iter().filter(|standing| *standing != Standing::Done) {
        let n = count(standing);
        if n > 0 {
            text.extend([", ", words::count(n).as_str(), " ", standing.words()]);
        }
    }
    text
}

/// The items of Maps by the pointers of their states.
pub type MapItems = BTreeMap<String, Items>;

/// The same for the box of the Map in the graph.
pub fn parts(items: &[Option<Standing>]) -> Items {
    let count = |standing: Option<Standing>| items.iter().filter(|item| **item == standing).count() as u64;
    let mut parts: Vec<_> = ORDER.into_iter().map(|standing| (standing.class(), count(Some(standing)))).collect();
    parts.push(("pending", count(None)));
    Items { words: counts(items), parts }
}

/// The strip. `label` names it for those who do not see it.
pub fn strip(items: &[Option<Standing>], label: &str) -> Markup {
    if items.is_empty() {
        return html! {};
    }
    let cells = items.len().min(CELLS);
    let width = cells * (CELL + GAP);
    html! {
        svg.strip preserveAspectRatio="xMinYMid" viewBox={ "0 0 " (width) " " (HEIGHT) } role="img"
            aria-label={ (label) ": " (counts(items)) } {
            @for cell in 0..cells {
                @let (from, until) = (cell * items.len() / cells, (cell + 1) * items.len() / cells);
                (one(&items[from..until], from, cell))
            }
        }
    }
}

fn one(items: &[Option<Standing>], from: usize, cell: usize) -> Markup {
    let worst = ORDER.into_iter().find(|standing| items.contains(&Some(*standing)));
    // A cell is done when all of its items are.
    let worst = worst.filter(|standing| *standing != Standing::Done || items.iter().all(Option::is_some));
    let class = worst.map_or("pending", Standing::class);
    let until = from + items.len() - 1;
    html! {
        rect class=(class) x=(cell * (CELL + GAP)) y="0" width=(CELL) height=(HEIGHT) {
            title { @if from == until { "item " (from) } @else { "items " (from) " to " (until) } ": " (counts(items)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_item_is_seen_among_ten_thousand() {
        let mut items = vec![Some(Standing::Done); 10_000];
        items[7_003] = Some(Standing::Failed);
        items[9_999] = None;
        let drawn = strip(&items, "Items").into_string();
        assert_eq!(drawn.matches("class=\"failed\"").count(), 1);
        assert_eq!(drawn.matches("class=\"done\"").count(), CELLS - 2, "and the cell with the last item is not done");
        assert!(drawn.contains("9,998 of 10,000 done, 1 failed"), "{drawn}");
        assert!(drawn.len() < 40_000);
    }

    #[test]
    fn the_box_of_a_map_counts_each_item_once() {
        let items = [Some(Standing::Failed), Some(Standing::Done), None, Some(Standing::Done)];
        let parts = parts(&items);
        assert_eq!(parts.parts.iter().map(|(_, n)| n).sum::<u64>(), 4);
        assert_eq!((parts.parts[0], parts.words.as_str()), (("failed", 1), "2 of 4 done, 1 failed"));
    }

    #[test]
    fn few_items_have_a_cell_each_and_none_has_no_strip() {
        let items = [Some(Standing::Done), Some(Standing::Running), None];
        assert_eq!(strip(&items, "Items").into_string().matches("<rect").count(), 3);
        assert_eq!(strip(&[], "Items").into_string(), "");
    }
}
